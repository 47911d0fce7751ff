package chat

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// maxNick is the length of a nickname in characters.
const maxNick = 32

// id is a member's number with a flag. A nickname that was drawn is its number,
// so that a million of them need no table. A chosen one stands in the table,
// under the number.
type id struct{ atomic.Uint64 }

// chosen is set in an id whose nickname stands in the table.
const chosen = 1 << 63

// names keeps nicknames unlike each other in the whole process.
type names struct {
	drawn  atomic.Uint64 // how many numbers were drawn
	offset uint64
	seed   maphash.Seed
	// Those that were drawn before a restart and are had again.
	returned numbers

	owners [64]owners // by the nickname's key
	chosen [64]texts  // by the number
}

// owners are the numbers of those who chose a nickname, by its key.
type owners struct {
	mu sync.Mutex
	m  map[string]uint64
}

// texts are the chosen nicknames by number.
type texts struct {
	mu sync.RWMutex
	m  map[uint64]string
}

func newNames(seed uint64) *names {
	n := &names{offset: seed % firstNumbers, seed: maphash.MakeSeed()}
	for i := range n.owners {
		n.owners[i].m = make(map[string]uint64)
		n.chosen[i].m = make(map[uint64]string)
	}
	return n
}

// The numbers of drawn nicknames have six digits; when those are used up, seven,
// and so on.
const (
	firstNumbers = 900_000
	firstNumber  = 100_000
	// stride is coprime to 9 and 10, and so to every count of numbers with as
	// many digits: steps of it meet each of them once.
	stride = 611_953
)

// draw takes the next number: no repetition, no order that anybody notices.
func (n *names) draw() uint64 {
	for {
		k := n.drawn.Add(1) - 1
		count, base := uint64(firstNumbers), uint64(firstNumber)
		for k >= count {
			k -= count
			count, base = count*10, base*10
		}
		if number := base + (k*stride+n.offset)%count; !n.returned.has(number) {
			return number
		}
	}
}

// drawAgain gives a number to somebody who had it before a restart, or another one if it was drawn since.
func (n *names) drawAgain(number uint64) uint64 {
	// In this order: whoever draws it from here on finds it taken.
	if !n.returned.add(number) {
		return n.draw()
	}
	if n.wasDrawn(number) {
		n.returned.remove(number)
		return n.draw()
	}
	return number
}

// wasDrawn says whether a number was drawn since the start. One that nobody can draw was.
func (n *names) wasDrawn(number uint64) bool {
	before, count, base := uint64(0), uint64(firstNumbers), uint64(firstNumber)
	for number >= base+count && count < 1<<60/10 {
		before += count
		count, base = count*10, base*10
	}
	if number < base || number >= base+count {
		return true
	}
	// The k-th number is base + (k*stride+offset) % count.
	step := new(big.Int).SetUint64((number - base + count - n.offset%count) % count)
	size := new(big.Int).SetUint64(count)
	step.Mul(step, new(big.Int).ModInverse(big.NewInt(stride), size)).Mod(step, size)
	return before+step.Uint64() < n.drawn.Load()
}

// numbers is a set for any goroutine, cheap to ask while it is empty.
type numbers struct {
	size atomic.Int64
	mu   sync.Mutex
	m    map[uint64]struct{}
}

func (s *numbers) has(number uint64) bool {
	if s.size.Load() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.m[number]
	return ok
}

// add says whether the number was not there.
func (s *numbers) add(number uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.m[number]; ok {
		return false
	}
	if s.m == nil {
		s.m = make(map[uint64]struct{})
	}
	s.m[number] = struct{}{}
	s.size.Store(int64(len(s.m)))
	return true
}

func (s *numbers) remove(number uint64) {
	if s.size.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, number)
	s.size.Store(int64(len(s.m)))
}

// of is the nickname of an id's owner.
func (n *names) of(i *id) string { return n.name(i.Load()) }

// name is the nickname behind an id.
func (n *names) name(id uint64) string {
	if id&chosen == 0 {
		return "user-" + strconv.FormatUint(id, 10)
	}
	t := &n.chosen[id%64]
	t.mu.RLock()
	defer t.mu.RUnlock()
	if s, ok := t.m[id&^chosen]; ok {
		return s
	}
	return "user-" + strconv.FormatUint(id&^chosen, 10) // released meanwhile
}

// appendTo appends the nickname of an id's owner, without an allocation.
func (n *names) appendTo(b []byte, i *id) []byte {
	id := i.Load()
	if id&chosen == 0 {
		return strconv.AppendUint(append(b, "user-"...), id, 10)
	}
	return append(b, n.name(id)...)
}

// choose gives the id's owner the nickname, or says why not: errTaken, or what is wrong with it. One call for an id at a time.
func (n *names) choose(i *id, nick string) error {
	nick = norm.NFC.String(nick)
	if err := checkNick(nick); err != nil {
		return err
	}
	id := i.Load() &^ chosen
	if !n.claim(key(nick), id) {
		return errTaken{nick}
	}
	old := n.put(id, nick)
	if old != "" && key(old) != key(nick) {
		n.unclaim(key(old))
	}
	i.Store(id | chosen)
	return nil
}

// release frees the nickname of an owner who has left.
func (n *names) release(i *id) {
	id := i.Load()
	n.returned.remove(id &^ chosen)
	if id&chosen == 0 {
		return
	}
	id &^= chosen
	t := &n.chosen[id%64]
	t.mu.Lock()
	old := t.m[id]
	delete(t.m, id)
	t.mu.Unlock()
	n.unclaim(key(old))
}

// errTaken says that somebody else has a nickname.
type errTaken struct{ nick string }

func (e errTaken) Error() string { return "the nickname " + e.nick + " is taken" }

// put stores a nickname and returns the one before it.
func (n *names) put(id uint64, nick string) (old string) {
	t := &n.chosen[id%64]
	t.mu.Lock()
	defer t.mu.Unlock()
	old = t.m[id]
	t.m[id] = nick
	return old
}

// claim takes a key for id unless another one has it.
func (n *names) claim(key string, id uint64) bool {
	o := n.ownersOf(key)
	o.mu.Lock()
	defer o.mu.Unlock()
	if owner, ok := o.m[key]; ok && owner != id {
		return false
	}
	o.m[key] = id
	return true
}

func (n *names) unclaim(key string) {
	o := n.ownersOf(key)
	o.mu.Lock()
	delete(o.m, key)
	o.mu.Unlock()
}

func (n *names) ownersOf(key string) *owners {
	return &n.owners[maphash.String(n.seed, key)%64]
}

// asEmoji is the variation selector that phones put behind an emoji. It is the
// only invisible character that a nickname may have.
const asEmoji = '\uFE0F'

// key is what two nicknames that look alike have in common: letter case and
// compatible forms (UAX #15, NFKC) make no difference, nor does asEmoji.
func key(nick string) string {
	nick = strings.ReplaceAll(nick, string(asEmoji), "")
	return norm.NFKC.String(strings.Map(foldCherokee, cases.Fold().String(norm.NFKC.String(nick))))
}

// foldCherokee makes Cherokee letters capitals, to which Unicode folds them. Package cases folds those to capitals that
// are small, and the others to small ones.
func foldCherokee(r rune) rune {
	if unicode.Is(unicode.Cherokee, r) {
		return unicode.ToUpper(r)
	}
	return r
}

var errSigns = errors.New("a nickname has letters, digits, signs other than the colon, and single spaces")

// checkNick says what is wrong with a nickname in NFC.
func checkNick(nick string) error {
	switch n := utf8.RuneCountInString(nick); {
	case !utf8.ValidString(nick):
		return fmt.Errorf("a nickname is UTF-8")
	case n < 1 || n > maxNick:
		return fmt.Errorf("a nickname has 1 to %d characters", maxNick)
	case strings.HasPrefix(nick, " "), strings.HasSuffix(nick, " "), strings.Contains(nick, "  "):
		return fmt.Errorf("a nickname has single spaces inside at most")
	}
	for i, r := range nick {
		// A mark in front would join what stands before the nickname.
		if !shows(r) || i == 0 && unicode.IsMark(r) {
			return errSigns
		}
	}
	if strings.Contains(key(nick), ":") {
		return errSigns // a full-width colon, say
	}
	if isDrawn(key(nick)) {
		return fmt.Errorf("nicknames of the form user-N are given by the server")
	}
	return nil
}

// shows tells what a nickname may have from controls, directions and other
// invisible characters, and from the colon, which ends it in "NICK: TEXT".
func shows(r rune) bool {
	switch {
	case r == ' ', r == asEmoji:
		return true
	case r == ':', r == utf8.RuneError, r == '\u2800': // Braille without a dot
		return false
	case unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return false // letters and marks by their category, such as the Hangul filler
	}
	return unicode.IsGraphic(r) && !unicode.IsSpace(r)
}

// isDrawn tells the form that only the server gives.
func isDrawn(key string) bool {
	digits, ok := strings.CutPrefix(key, "user-")
	return ok && strings.Trim(digits, "0123456789") == ""
}
