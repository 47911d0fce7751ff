package terminal

import (
	"strings"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/uniseg"
)

// span is text in one style.
type span struct {
	text  string
	style tcell.Style
}

// line is what stands in one row.
type line []span

// wrap breaks spans into lines of a width, between words where there are any. The text is cleaned here; a newline
// in it begins a line. Lines after the first are indented.
func wrap(spans []span, columns, indent int) (lines []line) {
	columns = max(columns, 2) // the widest character
	if indent > columns/2 || indent > columns-2 {
		indent = 0
	}
	w := wrapper{columns: columns, indent: indent}
	for _, s := range spans {
		for i, text := range strings.Split(s.text, "\n") {
			if i > 0 {
				w.next()
			}
			w.add(Clean(text), s.style)
		}
	}
	return append(w.lines, w.line)
}

// wrapper is where wrap stands.
type wrapper struct {
	columns, indent int
	lines           []line
	line            line
	used            int
}

// next begins a line.
func (w *wrapper) next() {
	w.lines = append(w.lines, w.line)
	w.line, w.used = nil, 0
	if w.indent > 0 {
		w.line, w.used = line{{strings.Repeat(" ", w.indent), tcell.StyleDefault}}, w.indent
	}
}

// add adds words, which end where Unicode allows a break (UAX 14).
func (w *wrapper) add(text string, style tcell.Style) {
	for state := -1; text != ""; {
		var word string
		word, text, _, state = uniseg.FirstLineSegmentInString(text, state)
		if n := width(strings.TrimRight(word, " ")); w.used+n > w.columns && w.used > w.indent && n <= w.columns-w.indent {
			w.next()
		}
		w.word(word, style)
	}
}

// word adds a word, which is cut where a line does not hold it. Spaces at the end of a line are not kept.
func (w *wrapper) word(word string, style tcell.Style) {
	for state := -1; word != ""; {
		var cluster string
		var n int
		cluster, word, n, state = uniseg.FirstGraphemeClusterInString(word, state)
		if w.used+n > w.columns {
			if cluster == " " {
				continue
			}
			w.next()
		}
		w.used += n
		if i := len(w.line) - 1; i >= 0 && w.line[i].style == style {
			w.line[i].text += cluster
		} else {
			w.line = append(w.line, span{cluster, style})
		}
	}
}

// cut is as much of a clean text as fits into some columns.
func cut(text string, columns int) string {
	if width(text) <= columns {
		return text
	}
	used, end := 0, 0
	for g := uniseg.NewGraphemes(text); g.Next(); {
		if used += g.Width(); used > columns-1 {
			break
		}
		_, end = g.Positions()
	}
	return text[:end] + "…"
}
