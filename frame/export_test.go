package frame

// Unchecked is the number of bytes of text that arrived and will be looked at again.
func (d *Decoder) Unchecked() int {
	if d.part == nil {
		return 0
	}
	return len(d.part.buf) - d.part.checked
}
