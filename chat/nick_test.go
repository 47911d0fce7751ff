package chat_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"throng/chat"
)

// What the server answers to a nickname that it does not give.
const (
	wrongSigns  = "a nickname has letters, digits, signs other than the colon, and single spaces"
	wrongLength = "a nickname has 1 to 32 characters"
	wrongSpaces = "a nickname has single spaces inside at most"
	wrongDrawn  = "nicknames of the form user-N are given by the server"
)

// wrongNicks are nicknames that nobody can have, with the reason.
var wrongNicks = map[string]string{
	"":                              wrongLength,
	strings.Repeat("x", 33):         wrongLength,
	strings.Repeat("é", 33):         wrongLength,
	strings.Repeat("e\u0301", 33):   wrongLength, // 33 once composed
	"two  spaces":                   wrongSpaces,
	"a:b":                           wrongSigns,
	":":                             wrongSigns,
	"a：b":                           wrongSigns, // full width
	"a﹕b":                           wrongSigns, // small
	"tab\tbed":                      wrongSigns,
	"new\nline":                     wrongSigns,
	"nul\x00":                       wrongSigns,
	"del\x7f":                       wrongSigns,
	"c1\u0085x":                     wrongSigns,
	"no\u00a0break":                 wrongSigns,
	"em\u2003space":                 wrongSigns,
	"wide\u3000space":               wrongSigns,
	"line\u2028end":                 wrongSigns,
	"soft\u00adhyphen":              wrongSigns,
	"left\u200emark":                wrongSigns,
	"arabic\u061cmark":              wrongSigns,
	"right\u202eleft":               wrongSigns,
	"isolate\u2066d":                wrongSigns,
	"zero\u200bwidth":               wrongSigns,
	"joi\u200dned":                  wrongSigns,
	"word\u2060joined":              wrongSigns,
	"\ufeffbom":                     wrongSigns,
	"grapheme\u034fjoined":          wrongSigns,
	"hangul\u115ffiller":            wrongSigns,
	"\u3164":                        wrongSigns, // Hangul filler: a letter that shows nothing
	"\uffa0":                        wrongSigns,
	"khmer\u17b4":                   wrongSigns,
	"mongolian\u180b":               wrongSigns,
	"text\ufe0e":                    wrongSigns, // variation selectors
	"ideograph\U000e0100":           wrongSigns,
	"tag\U000e0041":                 wrongSigns,
	"\u2800":                        wrongSigns, // Braille without a dot
	"\ufe0f":                        wrongSigns, // nothing to show as an emoji
	"\u0301acute":                   wrongSigns, // would stand on what is before the nickname
	"private\ue000":                 wrongSigns,
	"unassigned\u0378":              wrongSigns,
	"replaced\ufffd":                wrongSigns,
	"user-123456":                   wrongDrawn,
	"User-1":                        wrongDrawn,
	"USER-999999999999999999999999": wrongDrawn,
	"uSeR-0":                        wrongDrawn,
	"ｕｓｅｒ－７":                        wrongDrawn, // full width
	"u\u017fer-7":                   wrongDrawn, // a long s
	"user-\ufe0f7":                  wrongDrawn,
	"user-①":                        wrongDrawn,
	"user-":                         wrongDrawn,
}

// rightNicks are nicknames that anybody can have.
var rightNicks = []string{
	"x", "7", "-", "....", "/nick", "user", "user-x", "user-7a", "user7", "superuser-7", strings.Repeat("x", 32), strings.Repeat("é", 32),
	strings.Repeat("🐎", 32), "🐎", "❤\ufe0f", "1\ufe0f⃣", "👍🏽", "🇨🇿", "Jean-Luc d'Été", "a b c", "ярослав", "名前", "नमस्ते", "עברית", "\"<b>&\"", "has left.",
}

func TestWrongNicks(t *testing.T) {
	w := start(t)
	ann, bob := w.as("ann", "r"), w.as("bob", "r")
	for nick, why := range wrongNicks {
		ann.say("/nick " + nick)
		ann.wants(" .... " + why)
	}
	for _, rest := range []string{"/nick", "/nick ", "/nick    "} {
		ann.say(rest)
		ann.wants(" .... " + wrongLength)
	}
	ann.say("still the same")
	ann.wants("ann: still the same")
	bob.wants("ann: still the same")
}

func TestRightNicks(t *testing.T) {
	w := start(t)
	ann, bob := w.as("ann", "r"), w.as("bob", "r")
	now := "ann"
	for _, nick := range rightNicks {
		ann.say("/nick  "+nick+" ", "it is me") // spaces around it do not count
		for _, p := range []*person{ann, bob} {
			p.wants(" .... "+now+" is now "+nick+".", nick+": it is me")
		}
		now = nick
	}
	ann.conn.Close()
	bob.wants(" .... " + now + " has left.")
}

// Two nicknames that look alike are one, in all rooms of the process.
func TestNickIsTaken(t *testing.T) {
	w := start(t)
	ann, bob := w.as("Ann Été", "r"), w.as("bob", "other")
	for _, nick := range []string{"Ann Été", "ann été", "ANN ÉTÉ", "Ann E\u0301te\u0301", "Ａｎｎ Été", "Ann Été\ufe0f"} {
		bob.say("/nick " + nick)
		if got := bob.hear(); !strings.HasPrefix(got, " .... the nickname ") || !strings.HasSuffix(got, " is taken") {
			t.Errorf("%q: %q", nick, got)
		}
	}
	bob.say("/nick BOB", "/nick BOB", "/nick bob")
	bob.wants(" .... bob is now BOB.", " .... BOB is now bob.") // nothing for the one that changes nothing
	// It is free once its owner has another, and his old one as well.
	ann.say("/nick eve")
	ann.wants(" .... Ann Été is now eve.")
	bob.say("/nick ANN ÉTÉ")
	bob.wants(" .... bob is now ANN ÉTÉ.")
	ann.say("/nick Bob")
	ann.wants(" .... eve is now Bob.")
	bob.say("/nick bob")
	bob.wants(" .... the nickname bob is taken")
}

// Each letter of each script is the same nickname in each of its cases. (The Turkish i with and without a dot are two.)
func TestKeyOfEveryCase(t *testing.T) {
	pairs := 0
	for r := range rune(unicode.MaxRune) {
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			pairs++
			if a, b := chat.Key(string(r)), chat.Key(string(other)); a != b || chat.Key(a) != a {
				t.Errorf("%q has the key %q, %q has %q", r, a, other, b)
			}
		}
	}
	if pairs < 2800 {
		t.Errorf("%d pairs", pairs)
	}
}

// A nickname is composed (NFC), however it was typed.
func TestNickIsComposed(t *testing.T) {
	w := start(t)
	ann := w.as("e\u0301", "r")
	ann.say("hi")
	ann.wants("\u00e9: hi")
	ann.say("/nick E\u0301")
	ann.wants(" .... \u00e9 is now \u00c9.")
}

// A wish is granted without a word, or refused with one; then the nickname that
// was drawn stays.
func TestWish(t *testing.T) {
	w := start(t)
	ann := w.join("/chat/a?nick=ann")
	if got := ann.nick(); got != "ann" {
		t.Errorf("ann is %s", got)
	}
	drawn := regexp.MustCompile(`^user-\d+$`)
	refused := func(wish, why string) {
		t.Helper()
		p := w.join("/chat/b?history=5&nick=" + wish)
		if why != "" {
			p.wants(" .... " + why)
		}
		if got := p.nick(); !drawn.MatchString(got) {
			t.Errorf("the wish %q made %s", wish, got)
		}
		p.conn.Close()
		eventually(t, func() error { return count("connections", w.srv.Conns(), 1) })
	}
	refused("", "")
	refused("Ann", "the nickname Ann is taken")
	refused("%ff", "a nickname is UTF-8")
	refused("+ann", wrongSpaces)
	refused("%00", wrongSigns)
	for nick, why := range wrongNicks {
		if nick != "" {
			refused(url.QueryEscape(nick), why)
		}
	}
}

// 10,000 connections would be too many for a test: the nicknames of those who
// connect are drawn as names_test.go draws them. Here, some of the form, unlike
// each other and nobody else's to take.
func TestDrawnNick(t *testing.T) {
	w := start(t)
	drawn := regexp.MustCompile(`^user-[1-9]\d{5}$`)
	thief := w.as("thief", "there")
	seen := map[string]bool{}
	for range 100 {
		p := w.join("/chat/here")
		p.say("hi")
		nick, ok := strings.CutSuffix(p.hear(), ": hi")
		if !ok || !drawn.MatchString(nick) || seen[nick] {
			t.Fatalf("%q was drawn", nick)
		}
		seen[nick] = true
		for _, like := range []string{nick, strings.ToUpper(nick), "U" + nick[1:]} {
			thief.say("/nick " + like)
			thief.wants(" .... " + wrongDrawn)
		}
		p.conn.Close()
		eventually(t, func() error { return count("connections", w.srv.Conns(), 1) })
	}
}

// One who had chosen a nickname and has left took nothing with him.
func TestNickEndsWithItsOwner(t *testing.T) {
	w := start(t)
	ann := w.as("ann", "r")
	for _, wish := range []string{"bob", "", "bob"} {
		bob := w.join("/chat/r?nick=" + wish)
		bob.say("/nick Bob", "/nick carl")
		first := bob.hear()
		ann.wants(first)
		ann.wants(bob.hear())
		if owners, texts := w.chat.Chosen(); owners != 2 || texts != 2 {
			t.Errorf("%d nicknames and %d texts for ann and carl", owners, texts)
		}
		bob.conn.Close()
		ann.wants(" .... carl has left.")
	}
	if owners, texts := w.chat.Chosen(); owners != 1 || texts != 1 {
		t.Errorf("%d nicknames and %d texts for ann", owners, texts)
	}
}
