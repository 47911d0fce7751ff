// Package terminal_test shows a Screen events and keys, one by one, on a terminal in memory, and reads what stands there.
package terminal_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"

	"throng/client"
	"throng/terminal"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// chatter is a client that only notes what it is asked.
type chatter struct {
	events  chan client.Event
	rooms   []string
	asked   []string
	pending int
	page    client.Page
	err     error
}

func (c *chatter) note(format string, args ...any) {
	c.asked = append(c.asked, fmt.Sprintf(format, args...))
}

func (c *chatter) Run(ctx context.Context) error {
	<-ctx.Done()
	close(c.events)
	return ctx.Err()
}
func (c *chatter) Events() <-chan client.Event { return c.events }
func (c *chatter) Me() client.Person           { return client.Person{ID: "7", Nick: "ann"} }
func (c *chatter) Rooms() []string             { return c.rooms }
func (c *chatter) Pending() int                { return c.pending }
func (c *chatter) Join(room string) error {
	c.note("join %s", room)
	return client.CheckRoom(room)
}
func (c *chatter) Leave(room string) error { c.note("leave %s", room); return nil }
func (c *chatter) Say(room, text string) (string, error) {
	if room == "" {
		return "", client.ErrNotMember
	}
	c.note("say %s %q", room, text)
	c.pending++
	return fmt.Sprint("i-", c.pending), nil
}
func (c *chatter) Typing(room string) { c.note("typing %s", room) }
func (c *chatter) History(_ context.Context, room string, before uint64, limit int) (client.Page, error) {
	c.note("history %s %d %d", room, before, limit)
	return c.page, c.err
}
func (c *chatter) Who(context.Context, string, uint64, int) (client.Members, error) {
	who := []client.Member{{Person: client.Person{Nick: "ann"}}, {Person: client.Person{Nick: "b\x1bob"}}}
	return client.Members{Members: who, More: true, Count: 5}, c.err
}
func (c *chatter) SetNick(_ context.Context, nick string) error {
	c.note("nick %s", nick)
	return c.err
}

// desk is a screen in memory.
type desk struct {
	*testing.T
	*terminal.Screen
	cells  tcell.SimulationScreen
	client *chatter
	now    time.Time
}

func sit(t *testing.T, columns, rows int, rooms ...string) *desk {
	t.Helper()
	d := &desk{T: t, cells: tcell.NewSimulationScreen("UTF-8"), client: &chatter{events: make(chan client.Event), rooms: rooms}, now: time.UnixMilli(1e12)}
	d.Screen = terminal.NewScreen(d.client, d.cells)
	must(t, d.Begin(func() time.Time { return d.now }))
	t.Cleanup(d.cells.Fini)
	d.cells.SetSize(columns, rows)
	d.Draw()
	return d
}

// rows is what stands there, without spaces at the ends.
func (d *desk) rows() (list []string) {
	cells, columns, rows := d.cells.GetContents()
	for y := range rows {
		row := ""
		for x := 0; x < columns; {
			text := string(cells[y*columns+x].Runes)
			row += text
			x += max(1, terminal.Width(text))
		}
		list = append(list, strings.TrimRight(row, " "))
	}
	return list
}

// shows asserts the rows from a place on.
func (d *desk) shows(from int, want ...string) {
	d.Helper()
	if got := d.rows(); !slices.Equal(got[from:from+len(want)], want) {
		d.Fatalf("it shows\n%s\nwanted from row %d\n%s", strings.Join(got, "\n"), from, strings.Join(want, "\n"))
	}
}

// has asserts that a row is there; or is not.
func (d *desk) has(row string, want bool) {
	d.Helper()
	if slices.Contains(d.rows(), row) != want {
		d.Fatalf("%q is %v in\n%s", row, !want, strings.Join(d.rows(), "\n"))
	}
}

func (d *desk) typed(texts ...string) {
	keys(func(k *tcell.EventKey) { d.Key(k) }, texts...)
}

// noon is of the day that all tests are on.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)

// line is a message that was said at as many minutes past noon as its number says.
func line(room string, seq uint64, nick, text string) client.Message {
	return client.Message{Seq: seq, Prev: seq - 1, TS: noon.Add(time.Duration(seq) * time.Minute).UnixMilli(), Room: room,
		From: client.Person{ID: "id of " + nick, Nick: nick}, Text: text}
}

func (d *desk) enters(rooms ...string) {
	d.Happens(client.Hello{Me: d.client.Me(), Token: "T"})
	for _, r := range rooms {
		d.Happens(client.Joined{Room: r, Epoch: "e", Seq: 40, Oldest: 1, Members: 3})
	}
}
