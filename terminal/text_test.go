package terminal_test

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gdamore/tcell/v2"

	"throng/terminal"
)

func TestClean(t *testing.T) {
	for _, c := range [][2]string{
		{"plain, 日本語, é, e\u0301", "plain, 日本語, é, e\u0301"},
		{"\x1b[31m", "␛[31m"},
		{"a\tb\nc\rd\x00\x7f", "a b␊c␍d␀␡"},
		{"\u009b31m", "<U+009B>31m"}, // the one-byte form of ESC [
		{"a\u202eb\u2066\u200f\u061c", "a<U+202E>b<U+2066><U+200F><U+061C>"},
		{"\u200b\ufeff\u00ad\u2028\U000e0041\u3164", "<U+200B><U+FEFF><U+00AD><U+2028><U+E0041><U+3164>"},
		{"\xff\x9b", "\ufffd\ufffd"},
		{"👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"},
		{"Z" + strings.Repeat("\u0301", 40) + "y", "Z" + strings.Repeat("\u0301", 12) + "y"},
	} {
		if got := terminal.Clean(c[0]); got != c[1] {
			t.Errorf("%q is %q, want %q", c[0], got, c[1])
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b]0;x\x07\u202e\u009b\xff")
	f.Fuzz(func(t *testing.T, text string) {
		got := terminal.Clean(text)
		harmless := func(r rune) bool { return r == '\ufffd' || !terminal.Obeyed(r) && r >= ' ' && (r < 0x7f || r > 0x9f) }
		if i := strings.IndexFunc(got, func(r rune) bool { return !harmless(r) }); i >= 0 || !utf8.ValidString(got) {
			t.Errorf("%q is %q", text, got)
		}
		if again := terminal.Clean(got); again != got {
			t.Errorf("%q is %q, and that %q", text, got, again)
		}
		// In JSON the same text comes back, and nothing of it can do harm on its way.
		b, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var want, back string
		clean := terminal.CleanJSON(b)
		if json.Unmarshal(b, &want) != nil || json.Unmarshal(clean, &back) != nil || back != want {
			t.Errorf("%q is %q, which is %q", text, clean, back)
		}
		if strings.ContainsFunc(string(clean), func(r rune) bool { return !harmless(r) }) {
			t.Errorf("%q is %q in JSON", text, clean)
		}
	})
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text            string
		columns, indent int
		want            []string
	}{
		{"one two three", 8, 0, []string{"one two ", "three"}},
		{"one two three", 7, 2, []string{"one two", "  three"}},
		{"abcdefghij", 4, 1, []string{"abcd", " efg", " hij"}},
		{"日本語日本語", 5, 0, []string{"日本", "語日", "本語"}},
		{"a\nb\n", 9, 2, []string{"a", "  b", "  "}},
		{"", 9, 2, []string{""}},
		{"wide", 1, 5, []string{"wi", "de"}},
	} {
		if got := terminal.Wrapped(c.text, c.columns, c.indent); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q in %d is %q, want %q", c.text, c.columns, got, c.want)
		}
	}
}

// No row is too wide, and nothing but spaces at their ends is lost.
func TestWrapKeeps(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	pieces := []string{"a", "bc", " ", "  ", "日", "👨\u200d👩", "e\u0301", "-", "\x1b", "longerword", "\u202e", ", "}
	for range 3000 {
		var b strings.Builder
		for range random.IntN(30) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		columns, indent := 2+random.IntN(30), random.IntN(4)
		rows := terminal.Wrapped(b.String(), columns, indent)
		for _, r := range rows {
			if w := terminal.Width(r); w > columns {
				t.Fatalf("%q in %d: %q has %d", b.String(), columns, r, w)
			}
		}
		bare := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		if got, want := bare(strings.Join(rows, "")), bare(terminal.Clean(b.String())); got != want {
			t.Fatalf("%q in %d is %q", b.String(), columns, rows)
		}
	}
}

func rune1(r rune, mod tcell.ModMask) *tcell.EventKey {
	return tcell.NewEventKey(tcell.KeyRune, r, mod)
}
func named(k tcell.Key) *tcell.EventKey { return tcell.NewEventKey(k, 0, tcell.ModNone) }

// keys types: a text, or the keys that stand for single letters behind a ^ (^A, ^K ...) or the words below.
func keys(press func(*tcell.EventKey), texts ...string) {
	words := map[string]*tcell.EventKey{
		"<left>": named(tcell.KeyLeft), "<right>": named(tcell.KeyRight), "<bs>": named(tcell.KeyBackspace2),
		"<del>": named(tcell.KeyDelete), "<home>": named(tcell.KeyHome), "<end>": named(tcell.KeyEnd),
		"<enter>": named(tcell.KeyEnter), "<up>": named(tcell.KeyUp), "<down>": named(tcell.KeyDown),
		"<pgup>": named(tcell.KeyPgUp), "<pgdn>": named(tcell.KeyPgDn),
		"<alt-b>": rune1('b', tcell.ModAlt), "<alt-f>": rune1('f', tcell.ModAlt), "<alt-d>": rune1('d', tcell.ModAlt),
		"<alt-1>": rune1('1', tcell.ModAlt), "<alt-2>": rune1('2', tcell.ModAlt), "<alt-9>": rune1('9', tcell.ModAlt),
		"<alt-up>": tcell.NewEventKey(tcell.KeyUp, 0, tcell.ModAlt), "<alt-down>": tcell.NewEventKey(tcell.KeyDown, 0, tcell.ModAlt),
		"<alt-enter>": tcell.NewEventKey(tcell.KeyEnter, 0, tcell.ModAlt), "<alt-bs>": tcell.NewEventKey(tcell.KeyBackspace2, 0, tcell.ModAlt),
		"<ctrl-left>": tcell.NewEventKey(tcell.KeyLeft, 0, tcell.ModCtrl), "<ctrl-right>": tcell.NewEventKey(tcell.KeyRight, 0, tcell.ModCtrl),
	}
	for _, text := range texts {
		switch k, ok := words[text]; {
		case ok:
			press(k)
		case len(text) == 2 && text[0] == '^':
			press(tcell.NewEventKey(tcell.KeyCtrlA+tcell.Key(text[1]-'A'), 0, tcell.ModCtrl))
		default:
			for _, r := range text {
				press(rune1(r, tcell.ModNone))
			}
		}
	}
}

func TestEditor(t *testing.T) {
	for _, c := range []struct {
		keys []string
		want string // with the cursor as |
	}{
		{[]string{"abc", "<left>", "X"}, "abX|c"},
		{[]string{"abc", "<home>", "X", "<end>", "Y"}, "XabcY|"},
		{[]string{"日本", "<bs>", "x"}, "日x|"},
		{[]string{"e", "\u0301", "x", "<left>", "<bs>"}, "|x"}, // one character
		{[]string{"abc", "<left>", "<left>", "<del>"}, "a|c"},
		{[]string{"one two", "^W"}, "one |"},
		{[]string{"one two", "<alt-b>", "^K", "^A", "^Y"}, "two|one "},
		{[]string{"one two", "^U", "^Y", "^Y"}, "one twoone two|"},
		{[]string{"one two", "^A", "<alt-f>", "<alt-f>", "^B", "^F", "!"}, "one two!|"},
		{[]string{"one two", "^A", "<alt-d>"}, "| two"},
		{[]string{"one two", "<alt-bs>", "^E"}, "one |"},
		{[]string{"one two", "<ctrl-left>", "<ctrl-left>", "<ctrl-right>", "|"}, "one|| two"},
		{[]string{"<left>", "<bs>", "<del>", "^K", "^U", "^W", "^Y", "<right>"}, "|"},
	} {
		var e terminal.Editor
		keys(func(k *tcell.EventKey) {
			if !e.Key(k) {
				t.Errorf("%q: %v does nothing", c.keys, k.Name())
			}
		}, c.keys...)
		text, at := e.Shown(80)
		got := ""
		for i, r := range []rune(text) {
			if terminal.Width(string([]rune(text)[:i])) == at && !strings.Contains(got, "|") {
				got += "|"
			}
			got += string(r)
		}
		if at == terminal.Width(text) {
			got = text + "|"
		}
		if strings.Count(c.want, "|") == 2 {
			got, c.want = text, strings.Replace(c.want, "|", "", 1)
		}
		if got != c.want {
			t.Errorf("%q gives %q, want %q", c.keys, got, c.want)
		}
	}
}

func TestRecall(t *testing.T) {
	var e terminal.Editor
	press := func(k *tcell.EventKey) { e.Key(k) }
	var got []string
	look := func() { text, _ := e.Shown(80); got = append(got, text) }
	for _, text := range []string{"one", "two", "two"} {
		keys(press, text)
		e.Take()
	}
	keys(press, "draft")
	for _, step := range []func(){e.Back, e.Back, e.Back, e.Forward, e.Forward, e.Forward} {
		step()
		look()
	}
	if want := []string{"two", "one", "one", "two", "draft", "draft"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A line that is longer than the screen is shown around the cursor.
func TestShown(t *testing.T) {
	var e terminal.Editor
	press := func(k *tcell.EventKey) { e.Key(k) }
	keys(press, "abcdefgh")
	if text, at := e.Shown(5); text != "efgh" || at != 4 {
		t.Errorf("%q, %d", text, at)
	}
	keys(press, "<home>")
	if text, at := e.Shown(5); text != "abcde" || at != 0 {
		t.Errorf("%q, %d", text, at)
	}
	e.Take()
	keys(press, "日本語")
	if text, at := e.Shown(5); text != "本語" || at != 4 {
		t.Errorf("%q, %d", text, at)
	}
}
