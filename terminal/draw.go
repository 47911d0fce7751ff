package terminal

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/uniseg"
)

// The screen has the rooms in its first row, the transcript, the status, and the line
// that is written. One with fewer than four rows has the last ones of these.

func (s *Screen) columns() int { w, _ := s.cells.Size(); return max(w, 2) }

// rows is how many the transcript has.
func (s *Screen) rows() int { _, h := s.cells.Size(); return max(0, h-3) }

// draw draws everything.
func (s *Screen) draw() {
	columns, height := s.cells.Size()
	if columns < 1 || height < 1 {
		return
	}
	s.cells.Clear()
	if height > 3 {
		s.drawRooms()
	}
	if rows := s.rows(); rows > 0 {
		s.drawTranscript(1, rows)
	}
	if height > 1 {
		s.put(0, height-2, line{{fill(" "+s.status(), columns), s.look.bar}})
	}
	prompt := "> "
	if columns < 20 {
		prompt = ""
	}
	text, cursor := s.input.shown(max(1, columns-len(prompt)))
	s.put(0, height-1, line{{prompt + text, tcell.StyleDefault}})
	s.cells.ShowCursor(min(columns-1, len(prompt)+cursor), height-1)
	s.cells.Show()
}

// put writes a line into a row. Each text is clean by now, or is cleaned here.
func (s *Screen) put(x, y int, l line) {
	columns := s.columns()
	for _, part := range l {
		for g := uniseg.NewGraphemes(Clean(part.text)); g.Next(); {
			n := g.Width()
			if n == 0 {
				continue // a mark without a character, at the beginning
			}
			if x+n > columns {
				return
			}
			s.cells.Put(x, y, g.Str(), part.style)
			x += n
		}
	}
}

// fill makes a text exactly as wide as some columns.
func fill(text string, columns int) string {
	text = cut(Clean(text), columns)
	return text + strings.Repeat(" ", max(0, columns-width(text)))
}

// drawRooms lists the rooms, the one that is looked at always among them.
func (s *Screen) drawRooms() {
	columns := s.columns()
	s.put(0, 0, line{{fill("", columns), s.look.bar}})
	var labels line
	used, from := 0, 0
	for i, v := range s.views {
		if v.name == "" {
			continue
		}
		label, style := fmt.Sprintf(" %d %s ", i+1, v.name), s.look.bar
		switch {
		case i == s.current:
			style = s.look.current
		case v.unread > 0:
			label, style = fmt.Sprintf(" %d %s (%d) ", i+1, v.name, v.unread), s.look.unread
		}
		labels = append(labels, span{label, style})
		used += width(label)
		for i <= s.current && used > columns && from < len(labels)-1 {
			used -= width(labels[from].text)
			from++
		}
	}
	s.put(0, 0, labels[min(from, len(labels)):])
}

// drawTranscript shows the rows above what is scrolled away, and asks for more when somebody wants to go above the first.
func (s *Screen) drawTranscript(top, rows int) {
	v, columns := s.shown(), s.columns()
	var below []line // from the last one up
	for _, p := range slices.Backward(v.pending) {
		dim := s.look.dim
		waiting := wrap([]span{{"  ... ", dim}, {s.client.Me().Nick + ": " + p.text, dim}}, columns, 6)
		slices.Reverse(waiting)
		below = append(below, waiting...)
	}
	want := v.scroll + rows
	i := len(v.entries) - 1
	for ; i >= 0 && len(below) < want; i-- {
		for _, l := range slices.Backward(v.entries[i].layout(columns, s.look)) {
			below = append(below, l)
		}
	}
	v.scroll = max(0, min(v.scroll, len(below)-rows))
	for y := range rows {
		if at := v.scroll + rows - 1 - y; at < len(below) {
			s.put(0, top+y, below[at])
		}
	}
	if v.up && i < 0 && v.scroll == max(0, len(below)-rows) {
		s.older(v)
	}
	v.up = false
}

// status says how things are.
func (s *Screen) status() string {
	v := s.shown()
	var parts []string
	switch left := s.retry.Sub(s.now()).Seconds(); {
	case s.online:
		parts = append(parts, s.client.Me().Nick, "connected")
	case s.retry.IsZero():
		parts = append(parts, "connecting")
	case left > 0:
		parts = append(parts, fmt.Sprintf("away: again in %d s", int(math.Ceil(left))))
	default:
		parts = append(parts, "away: connecting")
	}
	if n := s.client.Pending(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d pending", n))
	}
	if v.here {
		parts = append(parts, fmt.Sprintf("%d here", v.members))
	}
	if v.scroll > 0 {
		parts = append(parts, "scrolled up: PgDn")
	}
	if names := s.typists(v); len(names) > 0 {
		parts = append(parts, strings.Join(names, ", ")+" writing")
	}
	if !s.online && s.why != "" && !s.retry.IsZero() {
		parts = append(parts, s.why)
	}
	return strings.Join(parts, " | ")
}

// typists are those who write at present.
func (s *Screen) typists(v *view) (names []string) {
	for id, t := range v.typing {
		if s.now().After(t.until) {
			delete(v.typing, id)
		} else {
			names = append(names, t.nick)
		}
	}
	slices.Sort(names)
	return names[:min(len(names), 3)]
}
