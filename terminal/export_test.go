package terminal

import (
	"time"

	"github.com/gdamore/tcell/v2"

	"throng/client"
)

// What Run does, step by step.

func (s *Screen) Begin(now func() time.Time) error {
	err := s.cells.Init()
	s.look, s.now = newLook(s.cells.Colors()), now
	s.draw()
	return err
}
func (s *Screen) Happens(e client.Event) { s.event(e); s.draw() }
func (s *Screen) Unseen(e client.Event)  { s.event(e) }
func (s *Screen) Key(e tcell.Event)      { s.key(e); s.draw() }
func (s *Screen) Answer()                { (<-s.results)(); s.draw() }
func (s *Screen) Quit() bool             { return s.quit }
func (s *Screen) Draw()                  { s.draw() }

// Wrapped is what wrap makes of a text.
func Wrapped(text string, columns, indent int) (rows []string) {
	for _, l := range wrap([]span{{text, tcell.StyleDefault}}, columns, indent) {
		row := ""
		for _, s := range l {
			row += s.text
		}
		rows = append(rows, row)
	}
	return rows
}

// Editor is the input line.
type Editor struct{ editor }

func (e *Editor) Key(k *tcell.EventKey) bool      { return e.key(k) }
func (e *Editor) Take() string                    { return e.take() }
func (e *Editor) Back()                           { e.back() }
func (e *Editor) Forward()                        { e.forward() }
func (e *Editor) Shown(columns int) (string, int) { return e.shown(columns) }

// Palettes by number of colours.
func Palette(colors int) int { return len(newLook(colors).palette) }

var Obeyed, Width = obeyed, width

// Entries is the length of the transcript that is looked at.
func (s *Screen) Entries() int { return len(s.shown().entries) }
