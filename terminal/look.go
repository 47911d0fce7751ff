package terminal

import (
	"hash/fnv"

	"github.com/gdamore/tcell/v2"
)

// look is how things are shown. Without colours nothing is told by colour alone anyway: what
// matters has words or attributes.
type look struct {
	dim, alarm, bar, current, unread tcell.Style
	palette                          []tcell.Color // of nicknames
}

// Colours that can be read on black and on white: of the 256 of the palette, and of the first 8.
var (
	palette256 = []tcell.Color{tcell.Color25, tcell.Color31, tcell.Color37, tcell.Color65, tcell.Color71, tcell.Color97, tcell.Color133,
		tcell.Color131, tcell.Color136, tcell.Color166, tcell.Color169, tcell.Color173}
	palette8 = []tcell.Color{tcell.ColorMaroon, tcell.ColorGreen, tcell.ColorOlive, tcell.ColorNavy, tcell.ColorPurple, tcell.ColorTeal}
)

// newLook makes the look for a terminal with so many colours.
func newLook(colors int) *look {
	plain := tcell.StyleDefault
	l := &look{
		dim: plain.Dim(true), alarm: plain.Bold(true), bar: plain.Reverse(true),
		current: plain.Reverse(true).Bold(true).Underline(true), unread: plain.Reverse(true).Bold(true),
	}
	switch {
	case colors >= 256:
		l.palette = palette256
	case colors >= 8:
		l.palette = palette8
	}
	if colors >= 8 {
		l.alarm = l.alarm.Foreground(tcell.ColorMaroon)
	}
	return l
}

// nick is a nickname's style: the same each time.
func (l *look) nick(name string) tcell.Style {
	style := tcell.StyleDefault.Bold(true)
	if len(l.palette) == 0 {
		return style
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return style.Foreground(l.palette[h.Sum32()%uint32(len(l.palette))])
}
