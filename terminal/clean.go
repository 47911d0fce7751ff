package terminal

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// maxMarks is how many runes of a character are shown: enough for emoji families, too few to cover the lines above.
const maxMarks = 12

// obeyed tells runes that a terminal acts on, that reorder or hide text, or that end lines.
func obeyed(r rune) bool {
	switch r {
	case '\u200c', '\u200d': // the joiners of Indic scripts, Persian and emoji
		return false
	case '\u2028', '\u2029', '\u115f', '\u1160', '\u3164', '\uffa0':
		return true
	case '\ufffd': // what a byte that is not UTF-8 is read as
		return true
	}
	return unicode.Is(unicode.C, r) && !unicode.Is(unicode.Co, r)
}

// Clean makes text harmless for a terminal, in one line. Control characters are shown as their pictures (Unicode's
// chapter Control Pictures), a tab as a space; characters that change the direction of text or are invisible by their number.
func Clean(text string) string {
	if !strings.ContainsFunc(text, obeyed) && len(text) < maxMarks {
		return text
	}
	var b strings.Builder
	marks := 0 // runes since the last one that has a width
	for _, r := range text {
		if unicode.Is(unicode.M, r) || r == '\u200d' || r == '\u200c' {
			if marks++; marks > maxMarks {
				continue
			}
		} else {
			marks = 0
		}
		switch {
		case r == '\t':
			b.WriteByte(' ')
		case r < ' ':
			b.WriteRune('\u2400' + r)
		case r == 0x7f:
			b.WriteRune('\u2421')
		case r == '\ufffd':
			b.WriteRune(r)
		case obeyed(r):
			fmt.Fprintf(&b, "<U+%04X>", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// CleanJSON escapes in JSON what Clean would show otherwise.
func CleanJSON(b []byte) []byte {
	text := string(b)
	if !strings.ContainsFunc(text, obeyed) {
		return b
	}
	var out strings.Builder
	for _, r := range text {
		switch {
		case !obeyed(r) || r == '\ufffd':
			out.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
	}
	return []byte(out.String())
}

// marshal encodes without escaping what is harmless.
func marshal(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return CleanJSON([]byte(strings.TrimSuffix(b.String(), "\n"))), nil
}

// width is how many cells a clean text takes.
func width(text string) int { return uniseg.StringWidth(text) }
