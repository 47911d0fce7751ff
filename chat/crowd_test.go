package chat_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// crowd is people with any number of connections in some rooms, and what everybody has to know of them: a model of
// presence, without delays, counts or locks.
type crowd struct {
	*world
	rnd    *rand.Rand
	now    time.Duration
	halls  []*hall
	souls  []*soul
	away   []absent // in the order of going
	rested int      // how often all was compared

	blinks, returns, departures int // how often somebody was away and came back unnoticed, noticed, not at all
}

// hall is a room, with somebody in it who speaks plain text and never goes.
type hall struct {
	name    string
	ear     *person
	hears   []string         // what the ear has to hear next
	stays   map[string]*stay // by id
	missing bool             // the list was read while somebody was away
	// may is what can have been told of somebody since all was compared last: "left", "joined" or "renamed", before the id.
	may map[string]bool
}

// stay is somebody's being in a room.
type stay struct {
	nick   *string
	places int
	since  time.Duration
}

// absent is somebody's being away from a room; in is nil for all of them.
type absent struct {
	who   *soul
	in    *hall
	since time.Duration
}

// soul is somebody, through however many connections.
type soul struct {
	id, nick, token string
	renames         int
	tabs            []*tab
}

// tab is a connection.
type tab struct {
	*person
	*crowd
	who   *soul
	views map[*hall]*view
	order []*hall // in which they were joined
}

// view is what a tab knows of a room, and what it should.
type view struct {
	asked       bool
	known, want list
	told        bool
	members     float64 // as it was told last
}

// gather starts a crowd.
func gather(t *testing.T, seed uint64, rooms, people int) *crowd {
	w := start(t, freeze, func(o *options) { o.chat.Announce = true })
	c := &crowd{world: w, rnd: rand.New(rand.NewPCG(seed, 1))}
	for i := range rooms {
		name := fmt.Sprint("r", i)
		h := &hall{name: name, ear: w.as("ear"+name, name), stays: map[string]*stay{}, may: map[string]bool{}}
		h.ear.wants(" .... ear" + name + " has joined.")
		watch, hello, _ := w.seated("watch"+name, name)
		h.ear.wants(" .... watch" + name + " has joined.")
		watch.say(`{"op":"who","room":"` + name + `"}`)
		ear := watch.expect("members")["members"].([]any)[0].(fields)
		nick := ear["nick"].(string)
		h.stays[ear["id"].(string)] = &stay{nick: &nick, places: 1}
		watch.say(`{"op":"leave","room":"` + name + `"}`)
		watch.expect("left")
		h.ear.wants(" .... " + hello["me"].(fields)["nick"].(string) + " has left.")
		w.drop(watch)
		c.halls = append(c.halls, h)
	}
	for i := range people {
		c.souls = append(c.souls, &soul{nick: fmt.Sprint(i)})
	}
	c.pass(time.Minute)
	return c
}

// pass lets time pass, and those go who were away for too long.
func (c *crowd) pass(d time.Duration) {
	c.now += d
	for len(c.away) > 0 && c.away[0].since <= c.now-30*time.Second {
		a := c.away[0]
		c.away = c.away[1:]
		if a.in == nil {
			continue
		}
		if st := a.in.stays[a.who.id]; st != nil && st.places == 0 && st.since == a.since {
			c.departures++
			a.in.departed(c, a.who)
		}
	}
	c.world.pass(d)
}

// views are those of all tabs in a room.
func (h *hall) views(c *crowd) (all []*view) {
	for _, s := range c.souls {
		for _, t := range s.tabs {
			if v := t.views[h]; v != nil {
				all = append(all, v)
			}
		}
	}
	return all
}

// arrived: somebody is there, and is to be shown.
func (h *hall) arrived(c *crowd, s *soul) {
	h.may["joined "+s.id] = true
	for _, v := range h.views(c) {
		v.want[s.id] = s.nick
	}
}

// departed: somebody is no longer there.
func (h *hall) departed(c *crowd, s *soul) {
	delete(h.stays, s.id)
	h.settle()
	h.may["left "+s.id] = true
	h.hears = append(h.hears, " .... "+s.nick+" has left.")
	for _, v := range h.views(c) {
		delete(v.want, s.id)
	}
}

// settle forgets that the list was read when nobody is away any more.
func (h *hall) settle() {
	h.missing = h.missing && h.absent() > 0
}

func (h *hall) absent() (n int) {
	for _, st := range h.stays {
		if st.places == 0 {
			n++
		}
	}
	return n
}

// entered: a tab is in a room.
func (t *tab) entered(h *hall, joined fields) {
	t.Helper()
	st := h.stays[t.who.id]
	t.views[h] = &view{known: list{}, want: list{}}
	t.order = append(t.order, h)
	switch {
	case st == nil:
		h.stays[t.who.id] = &stay{nick: &t.who.nick, places: 1}
		h.hears = append(h.hears, " .... "+t.who.nick+" has joined.")
		h.arrived(t.crowd, t.who)
	case st.places == 0:
		st.places = 1
		if h.missing {
			t.returns++
			h.arrived(t.crowd, t.who)
		} else {
			t.blinks++
		}
		h.settle()
	default:
		st.places++
	}
	if joined["members"] != float64(len(h.stays)) {
		t.Fatalf("%v, and there are %d", joined, len(h.stays))
	}
}

// exited: a tab is no longer in a room; away: its person is expected back.
func (t *tab) exited(h *hall, away bool) {
	delete(t.views, h)
	t.order = slices.DeleteFunc(t.order, func(o *hall) bool { return o == h })
	st := h.stays[t.who.id]
	st.places--
	switch {
	case st.places > 0:
	case away:
		st.since = t.now
		t.away = append(t.away, absent{t.who, h, t.now})
	default:
		h.departed(t.crowd, t.who)
	}
}

// await receives until something comes that is no news, and takes in what is.
func (t *tab) await(kind string) fields {
	t.Helper()
	for {
		line := t.hear()
		o, err := readObject(line)
		must(t.crowd.T, err)
		if o["t"] != "presence" {
			if o["t"] != kind {
				t.person.Fatalf("got %s, want %s", line, kind)
			}
			return o
		}
		t.presence(o, line)
	}
}

// presence takes news in: what they say must have happened.
func (t *tab) presence(o fields, line string) {
	t.Helper()
	i := slices.IndexFunc(t.order, func(h *hall) bool { return h.name == o["room"] })
	if i < 0 {
		t.person.Fatalf("%s in a room that the connection is not in", line)
	}
	h := t.order[i]
	for _, kind := range []string{"left", "joined", "renamed"} {
		for _, x := range o[kind].([]any) {
			if what := fmt.Sprint(kind, " ", x.(fields)["id"]); !h.may[what] {
				t.person.Fatalf("%s, but nobody has %s: %v", line, kind, h.may)
			}
		}
	}
	v := t.views[h]
	v.told, v.members = true, o["members"].(float64)
	if v.asked {
		v.known.read(t.crowd.T, line)
	}
}

// open connects, as who somebody was before.
func (c *crowd) open(s *soul) {
	c.Helper()
	h := c.halls[c.rnd.IntN(len(c.halls))]
	t := &tab{person: c.sit("/chat/" + h.name + "?history=0&nick=" + s.nick + "&token=" + s.token), crowd: c, who: s, views: map[*hall]*view{}}
	hello := t.await("hello")
	if id := hello["me"].(fields)["id"].(string); s.id == "" {
		s.id = id
	} else if s.id != id || s.nick != hello["me"].(fields)["nick"] {
		c.Fatalf("%v was %s", hello, s.nick)
	}
	s.nick, s.token = hello["me"].(fields)["nick"].(string), hello["token"].(string)
	t.entered(h, t.await("joined"))
	s.tabs = append(s.tabs, t)
	t.entry()
}

// entry has a tab that is new in a room be among those who are to know.
func (t *tab) entry() {
	if t.rnd.IntN(2) > 0 {
		t.ask(t.order[len(t.order)-1])
	}
}

// join joins another room, or leaves one.
func (t *tab) join() {
	t.Helper()
	h := t.halls[t.rnd.IntN(len(t.halls))]
	if t.views[h] == nil {
		t.say(`{"op":"join","room":"` + h.name + `","history":0}`)
		t.entered(h, t.await("joined"))
		t.entry()
		return
	}
	t.say(`{"op":"leave","room":"` + h.name + `"}`)
	t.await("left")
	t.exited(h, false)
}

// cut breaks the connection.
func (t *tab) cut() {
	t.drop(t.person)
	for len(t.order) > 0 {
		t.exited(t.order[0], true)
	}
	t.who.tabs = slices.DeleteFunc(t.who.tabs, func(o *tab) bool { return o == t })
}

// rename takes another nickname.
func (t *tab) rename() {
	t.Helper()
	s, old := t.who, t.who.nick
	s.renames++
	t.say(fmt.Sprintf(`{"op":"nick","nick":"%d-%d"}`, slices.Index(t.souls, s), s.renames))
	n := t.await("nick")
	s.nick, s.token = n["nick"].(string), n["token"].(string)
	for _, h := range t.halls {
		if h.stays[s.id] == nil {
			continue
		}
		h.may["renamed "+s.id] = true
		h.hears = append(h.hears, " .... "+old+" is now "+s.nick+".")
		for _, v := range h.views(t.crowd) {
			if _, ok := v.want[s.id]; ok {
				v.want[s.id] = s.nick
			}
		}
	}
}

// ask reads the member list, in pages of three.
func (t *tab) ask(h *hall) {
	t.Helper()
	v, there := t.views[h], list{}
	for after, more := 0.0, true; more; {
		t.say(fmt.Sprintf(`{"op":"who","room":%q,"limit":3,"after":%.0f}`, h.name, after))
		page := t.await("members")
		here := map[any]bool{}
		for _, m := range page["members"].([]any) {
			m := m.(fields)
			if here[m["id"]] {
				t.person.Fatalf("%v lists somebody twice", page)
			}
			here[m["id"]] = true
			there[m["id"].(string)], after = m["nick"].(string), m["join"].(float64)
		}
		if more = page["more"].(bool); page["count"] != float64(len(h.stays)) {
			t.person.Fatalf("%v, and there are %d", page, len(h.stays))
		}
		if more && len(page["members"].([]any)) == 0 { // tabs of those who stood on the page before
			after += 3
		}
	}
	want := list{}
	for id, st := range h.stays {
		if st.places > 0 {
			want[id] = *st.nick
		}
	}
	if !reflect.DeepEqual(there, want) {
		t.person.Fatalf("the list of %s is %v, want %v", h.name, there, want)
	}
	h.missing = h.missing || h.absent() > 0
	v.asked, v.known, v.want = true, there, maps.Clone(there)
}

// rest has everybody hear all that there is to be heard, and compares what they know.
func (c *crowd) rest() {
	c.Helper()
	c.pass(time.Second)
	c.rested++
	for _, h := range c.halls {
		text := fmt.Sprint("rest ", c.rested)
		h.ear.say(text)
		h.ear.wants(append(h.hears, "ear"+h.name+": "+text)...)
		for _, s := range c.souls {
			for _, t := range s.tabs {
				if t.views[h] != nil {
					t.compare(h, text)
				}
			}
		}
		h.hears = nil
		clear(h.may)
	}
}

// compare asserts that a tab knows who is in a room.
func (t *tab) compare(h *hall, text string) {
	t.Helper()
	v := t.views[h]
	for m := t.await("msg"); m["room"] != h.name || m["text"] != text; m = t.await("msg") {
	}
	// Who came, went away and was then not in the list that was asked for, all since the room was told last, is told of after it.
	maps.DeleteFunc(v.known, func(id, nick string) bool {
		st := h.stays[id]
		return v.want[id] == "" && st != nil && st.places == 0 && *st.nick == nick
	})
	if v.asked && !reflect.DeepEqual(v.known, v.want) {
		t.person.Fatalf("%s knows %v of %s, want %v", t.who.nick, v.known, h.name, v.want)
	}
	if v.told && v.members != float64(len(h.stays)) {
		t.person.Fatalf("%s was told of %v in %s, and there are %d", t.who.nick, v.members, h.name, len(h.stays))
	}
}

// step is one thing that happens.
func (c *crowd) step() {
	c.Helper()
	s := c.souls[c.rnd.IntN(len(c.souls))]
	if len(s.tabs) == 0 {
		c.open(s)
		return
	}
	t := s.tabs[c.rnd.IntN(len(s.tabs))]
	switch n := c.rnd.IntN(20); {
	case n < 2 && len(s.tabs) < 4:
		c.open(s)
	case n < 8:
		t.join()
	case n < 12:
		t.cut()
	case n < 14:
		t.rename()
	case n < 16 && len(t.order) > 0:
		t.ask(t.order[c.rnd.IntN(len(t.order))])
	default:
		c.pass([]time.Duration{100 * time.Millisecond, time.Second, 10 * time.Second, 30*time.Second - 1}[c.rnd.IntN(4)])
	}
}

// People with several connections come, go, are cut off within the grace time and past it, and change their nicknames: what
// everybody knows is what there is, and nobody is told of what was only a blink.
func TestPresenceModel(t *testing.T) {
	const rooms, people, rests, steps = 3, 7, 30, 12
	blinks, returns, departures := 0, 0, 0
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := gather(t, seed, rooms, people)
			for range rests {
				for range 1 + c.rnd.IntN(steps) {
					c.step()
				}
				c.rest()
			}
			blinks, returns, departures = blinks+c.blinks, returns+c.returns, departures+c.departures
		})
	}
	if blinks < 30 || returns < 30 || departures < 30 {
		t.Errorf("%d blinks, %d returns and %d departures: the test proves little", blinks, returns, departures)
	}
}
