package chat_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"throng/chat"
)

// TestDraw: no nickname comes twice, whatever the seed, and none can be chosen,
// in whatever letter case.
func TestDraw(t *testing.T) {
	form := regexp.MustCompile(`^user-[1-9]\d{5,6}$`)
	for _, seed := range []uint64{0, 1, 899_999, 900_000, 1 << 63, rand.Uint64()} {
		names, seen := chat.NewNames(seed), map[string]bool{}
		thief := names.Draw()
		for i := range 10_000 {
			if i == 5000 {
				names.Skip(900_000 - 5001) // the last with six digits, then seven
			}
			nick := names.Draw().Nick()
			if seen[nick] || !form.MatchString(nick) {
				t.Fatalf("seed %d: %s is nickname %d", seed, nick, i)
			}
			if seed == 0 && (thief.Choose(nick) == nil || thief.Choose(strings.ToUpper(nick)) == nil) {
				t.Fatalf("%s can be chosen", nick)
			}
			seen[nick] = true
		}
	}
}

// All numbers of six digits are drawn before any of seven.
func TestDrawExhausts(t *testing.T) {
	names, seen := chat.NewNames(rand.Uint64()), make([]bool, 1_000_000)
	for i := range 900_000 {
		nick := names.Draw().Nick()
		n, err := strconv.Atoi(strings.TrimPrefix(nick, "user-"))
		if err != nil || n < 100_000 || n >= 1_000_000 || seen[n] {
			t.Fatalf("%s is nickname %d", nick, i)
		}
		seen[n] = true
	}
	if nick := names.Draw().Nick(); len(nick) != len("user-1234567") {
		t.Errorf("%s after all numbers of six digits", nick)
	}
}

// TestNamesModel: nicknames do what a plain map of them would.
func TestNamesModel(t *testing.T) {
	pool := []string{"a", "A", "b", "B", "é", "e\u0301", "É", "ß", "SS", "ｂ", "user-1", "a:b", "", "c", "c\ufe0f"}
	for seed := range uint64(15) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		names, owners := chat.NewNames(seed), map[string]*chat.Person{}
		var people []*chat.Person
		has := map[*chat.Person]string{} // the key of the nickname that was chosen
		for range 500 {
			if len(people) == 0 || rnd.IntN(10) == 0 {
				people = append(people, names.Draw())
			}
			i := rnd.IntN(len(people))
			p, before := people[i], people[i].Nick()
			if rnd.IntN(8) == 0 {
				p.Release()
				delete(owners, has[p])
				delete(has, p)
				people = slices.Delete(people, i, i+1)
				continue
			}
			nick := pool[rnd.IntN(len(pool))]
			key := chat.Key(nick)
			owner, taken := owners[key]
			want := nick != "" && !strings.HasPrefix(nick, "user-") && !strings.Contains(nick, ":") && (!taken || owner == p)
			if err := p.Choose(nick); (err == nil) != want {
				t.Fatalf("seed %d: choosing %q: %v", seed, nick, err)
			} else if err != nil && p.Nick() != before {
				t.Fatalf("seed %d: a refused %q made %s of %s", seed, nick, p.Nick(), before)
			} else if err == nil {
				delete(owners, has[p])
				owners[key], has[p] = p, key
			}
			for p, key := range has {
				if chat.Key(p.Nick()) != key {
					t.Fatalf("seed %d: %s has the key %s", seed, p.Nick(), key)
				}
			}
			if o, x := names.Count(); o != len(owners) || x != len(owners) {
				t.Fatalf("seed %d: %d and %d in the tables, %d nicknames", seed, o, x, len(owners))
			}
		}
	}
}

// TestNamesRace: of all who want a nickname at the same time one gets it, and
// nobody is ever seen without one.
func TestNamesRace(t *testing.T) {
	const crowd, rounds = 8, 2000
	names := chat.NewNames(1)
	people := make([]*chat.Person, crowd)
	for i := range people {
		people[i] = names.Draw()
	}
	var mu sync.Mutex
	held := map[string]int{} // by key; a nickname is held from after Choose until before the next one
	var wg sync.WaitGroup
	for i, p := range people {
		wg.Go(func() {
			rnd, mine := rand.New(rand.NewPCG(uint64(i), 2)), ""
			for range rounds {
				if p := people[rnd.IntN(crowd)]; p.Nick() == "" {
					t.Error("somebody has no nickname")
				}
				nick := string(rune("aAbBcC"[rnd.IntN(6)]))
				if strings.EqualFold(nick, mine) {
					continue // giving the key up first would be a lie
				}
				mu.Lock()
				delete(held, mine)
				mu.Unlock()
				was := mine
				if p.Choose(nick) == nil {
					mine = strings.ToLower(nick)
				}
				mu.Lock()
				if other, ok := held[mine]; mine != "" && ok {
					t.Errorf("%d, who had %q, and %d have %s", i, was, other, mine)
				}
				held[mine] = i
				mu.Unlock()
			}
			mu.Lock()
			delete(held, mine)
			mu.Unlock()
			p.Release()
		})
	}
	wg.Wait()
	if o, x := names.Count(); o != 0 || x != 0 {
		t.Errorf("%d and %d are left", o, x)
	}
}
