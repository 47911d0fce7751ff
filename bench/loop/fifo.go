package loop

// deadline is when a handshake must be over.
type deadline struct {
	id         int
	generation int32
	deadline   int64
}

// fifo is a queue of handshakes. All of one queue have the same timeout, so the order in
// which they began is the order of their deadlines: only the head is looked at.
type fifo struct {
	items []deadline
	first int
}

func (q *fifo) push(d deadline) { q.items = append(q.items, d) }

func (q *fifo) head() (deadline, bool) {
	if q.first == len(q.items) {
		return deadline{}, false
	}
	return q.items[q.first], true
}

// drop removes the head; the space is used again once half of it is free.
func (q *fifo) drop() {
	if q.first++; q.first*2 >= len(q.items) {
		q.items = append(q.items[:0], q.items[q.first:]...)
		q.first = 0
	}
}
