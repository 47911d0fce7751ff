package terminal

import (
	"strings"
	"unicode"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/uniseg"
)

// maxRecall is how many earlier inputs are kept.
const maxRecall = 500

// editor is the line that somebody writes, in grapheme clusters: what a person takes for one character.
type editor struct {
	text   []string
	at     int      // the cursor stands before this cluster
	killed []string // what was cut out last
	recall []string // earlier inputs, oldest first
	place  int      // in recall; len(recall) is what is being written
	draft  string   // what is being written, while an earlier input is shown
}

func (e *editor) String() string { return strings.Join(e.text, "") }

// set replaces everything.
func (e *editor) set(s string) {
	e.text = clusters(s)
	e.at = len(e.text)
}

func clusters(s string) (list []string) {
	for g := uniseg.NewGraphemes(s); g.Next(); {
		list = append(list, g.Str())
	}
	return list
}

// insert types a text. What is before the cursor and the text can become one cluster, as with accents that
// come by themselves.
func (e *editor) insert(s string) {
	before, after := clusters(strings.Join(e.text[:e.at], "")+s), e.text[e.at:]
	e.text = append(before, after...)
	e.at = len(before)
}

// take empties the line and remembers what was in it.
func (e *editor) take() string {
	s := e.String()
	e.text, e.at, e.draft = nil, 0, ""
	e.remember(s)
	return s
}

// remember puts a text where Up finds it.
func (e *editor) remember(s string) {
	if s != "" && (len(e.recall) == 0 || e.recall[len(e.recall)-1] != s) {
		e.recall = append(e.recall, s)
		e.recall = e.recall[max(0, len(e.recall)-maxRecall):]
	}
	e.place = len(e.recall)
}

// back and forward go through the earlier inputs.
func (e *editor) back() {
	if e.place == 0 {
		return
	}
	if e.place == len(e.recall) {
		e.draft = e.String()
	}
	e.place--
	e.set(e.recall[e.place])
}

func (e *editor) forward() {
	if e.place >= len(e.recall) {
		return
	}
	if e.place++; e.place == len(e.recall) {
		e.set(e.draft)
	} else {
		e.set(e.recall[e.place])
	}
}

// remove cuts out what is between two places.
func (e *editor) remove(from, to int, keep bool) {
	from, to = max(0, from), min(to, len(e.text))
	if keep && from < to {
		e.killed = append([]string(nil), e.text[from:to]...)
	}
	e.text = append(append([]string(nil), e.text[:from]...), e.text[to:]...)
	e.at = from
}

// wordLeft and wordRight are where words begin and end.
func (e *editor) wordLeft() int {
	i := e.at
	for i > 0 && !inWord(e.text[i-1]) {
		i--
	}
	for i > 0 && inWord(e.text[i-1]) {
		i--
	}
	return i
}

func (e *editor) wordRight() int {
	i := e.at
	for i < len(e.text) && !inWord(e.text[i]) {
		i++
	}
	for i < len(e.text) && inWord(e.text[i]) {
		i++
	}
	return i
}

func inWord(cluster string) bool {
	return strings.ContainsFunc(cluster, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
}

// key edits; false: the key has another meaning.
func (e *editor) key(k *tcell.EventKey) bool {
	alt := k.Modifiers()&(tcell.ModAlt|tcell.ModCtrl) != 0
	switch k.Key() {
	case tcell.KeyRune:
		if !alt {
			e.insert(string(k.Rune()))
			return true
		}
		return e.altKey(k.Rune())
	case tcell.KeyLeft, tcell.KeyCtrlB:
		if alt && k.Key() == tcell.KeyLeft {
			e.at = e.wordLeft()
		} else {
			e.at = max(0, e.at-1)
		}
	case tcell.KeyRight, tcell.KeyCtrlF:
		if alt && k.Key() == tcell.KeyRight {
			e.at = e.wordRight()
		} else {
			e.at = min(len(e.text), e.at+1)
		}
	case tcell.KeyHome, tcell.KeyCtrlA:
		e.at = 0
	case tcell.KeyEnd, tcell.KeyCtrlE:
		e.at = len(e.text)
	case tcell.KeyBackspace, tcell.KeyBackspace2:
		if alt && k.Modifiers()&tcell.ModAlt != 0 {
			e.remove(e.wordLeft(), e.at, true)
		} else if e.at > 0 {
			e.remove(e.at-1, e.at, false)
		}
	case tcell.KeyDelete:
		e.remove(e.at, e.at+1, false)
	case tcell.KeyCtrlK:
		e.remove(e.at, len(e.text), true)
	case tcell.KeyCtrlU:
		e.remove(0, e.at, true)
	case tcell.KeyCtrlW:
		e.remove(e.wordLeft(), e.at, true)
	case tcell.KeyCtrlY:
		e.insert(strings.Join(e.killed, ""))
	default:
		return false
	}
	return true
}

// altKey edits by words, as in a shell.
func (e *editor) altKey(r rune) bool {
	switch r {
	case 'b':
		e.at = e.wordLeft()
	case 'f':
		e.at = e.wordRight()
	case 'd':
		at := e.at
		e.remove(at, e.wordRight(), true)
	default:
		return false
	}
	return true
}

// shown is the part of the line that fits into some columns, and where in it the cursor stands.
func (e *editor) shown(columns int) (text string, cursor int) {
	var pieces []string
	for _, c := range e.text {
		pieces = append(pieces, Clean(c)) // a newline is shown as its picture
	}
	from, used := e.at, 0
	for from > 0 && used+width(pieces[from-1]) < columns {
		from--
		used += width(pieces[from])
	}
	for n, i := 0, from; i < len(pieces); i++ {
		if n += width(pieces[i]); n > columns {
			break
		}
		text += pieces[i]
	}
	return text, used
}
