package load

import (
	"errors"
	"fmt"
	"time"

	"throng/bench/v1"
)

// talk is what a run knows that speaks throng.v1.
type talk struct {
	seats   []seat // by connection; nil where nobody comes back
	resumed int64  // that came back, and had missed nothing
	anew    int64  // that had, by the server's own account
	errors  tally  // what the server refused, and its goodbyes
	retries []retry
}

// seat is a connection's place in its room, over all its lives.
type seat struct {
	v1.Seat
	joined bool   // in this life
	newest uint64 // the room's newest message when it joined
}

// retry is a message that the server wants to hear later.
type retry struct {
	sender *sender
	seq    int64
	at     int64
}

// errStranger is a member that came back with its token, and is not who it was.
var errStranger = errors.New("a member that came back with its token was somebody else")

// json reports whether throng.v1 is spoken.
func (c *Config) json() bool { return c.Subprotocol == v1.Name }

// resumes reports whether connections that are lost come back as who they were.
func (c *Config) resumes() bool {
	_, storm := c.Act.(*Storm)
	return storm && c.json()
}

// path is where a connection goes, and what it asks for there.
func (r *Run) path(id int) string {
	path := r.config.path(r.config.room(id))
	switch {
	case !r.config.json():
		return path
	case r.talk.seats == nil:
		return v1.Path(path, nil)
	}
	return v1.Path(path, &r.talk.seats[id].Seat)
}

// Said takes what the server says in throng.v1 that is no message.
func (r *Run) Said(id int, o *v1.Object) {
	t := &r.talk
	switch o.T {
	case v1.Error:
		t.errors.add(fmt.Errorf("error %s: %s", o.Word(), o.Message))
		r.refused(id, o)
	case v1.Bye:
		t.errors.add(fmt.Errorf("bye %s: %s", o.Word(), o.Reason))
	}
	if t.seats == nil {
		return
	}
	switch s := &t.seats[id]; o.T {
	case v1.Hello:
		if s.Who != "" && s.Who != o.Me.ID {
			t.errors.add(errStranger)
		}
		s.Who, s.Token = o.Me.ID, o.Token
	case v1.Joined:
		switch {
		case s.Epoch == "":
			s.After = o.Seq
		case o.Resumed:
			t.resumed++
		default:
			t.anew++
		}
		s.joined, s.newest, s.Epoch = true, o.Seq, o.Epoch
	}
}

// refused has a message said again that the server did not take for the moment.
func (r *Run) refused(id int, o *v1.Object) {
	seq, err := v1.Number(o.ID)
	if s := r.senders[r.config.sender(id)]; s != nil && err == nil && o.RetryMS > 0 && seq < s.next {
		r.talk.retries = append(r.talk.retries, retry{s, seq, r.now + o.RetryMS*int64(time.Millisecond)})
	}
}

// retry says again what it is time for.
func (r *Run) retry() {
	due := r.talk.retries
	r.talk.retries = nil
	for _, again := range due {
		if again.at > r.now {
			r.talk.retries = append(r.talk.retries, again)
			continue
		}
		r.loop.SendFrames(again.sender.id, r.appendAgain(nil, again.sender, again.seq))
	}
}

// interrupt cuts a connection that is to come back behind its last message.
func (r *Run) interrupt(id int) {
	s := &r.talk.seats[id]
	s.After = max(s.After, r.room(id).Interrupt(&r.members[id]))
	s.joined = false
	r.standings[id] = dropped
	r.present--
}

// caughtUp reports whether a connection has all that was said before it joined.
func (r *Run) caughtUp(id int) bool {
	s := &r.talk.seats[id]
	return s.joined && r.room(id).Last(&r.members[id]) >= s.newest
}

// sayAgain says again what a sender has said before its connection was lost, and
// has not heard.
func (r *Run) sayAgain(s *sender) {
	if s.next == s.acknowledged || r.standings[s.id] != present {
		return
	}
	r.room(s.id).Again(&r.members[s.id], s.acknowledged, s.next)
	var frames []byte
	for seq := s.acknowledged; seq < s.next; seq++ {
		frames = r.appendAgain(frames, s, seq)
	}
	r.loop.SendFrames(s.id, frames)
}
