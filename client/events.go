package client

import (
	"fmt"
	"time"
)

// A Person is a member of rooms. The ID stays the same when the nickname changes.
type Person struct {
	ID   string `json:"id"`
	Nick string `json:"nick"`
}

// Limits are what the server allows; 0 is what it has not said.
type Limits struct {
	Message int `json:"message"` // bytes of a text
	Nick    int `json:"nick"`    // characters of a nickname
	Rooms   int `json:"rooms"`   // rooms of a connection
	History int `json:"history"` // messages that a room keeps
	Page    int `json:"page"`    // messages or members of a page
}

// An Event is one of the types below that have the method event.
type Event interface{ event() }

// Hello is the first event of each connection: who you are.
type Hello struct {
	Me     Person `json:"me"`
	Token  string `json:"token"` // to be the same member later; Config.Tokens has got it
	Server string `json:"server"`
	Limits Limits `json:"limits"`
}

// Away tells that there is no connection, and when the next attempt is due.
type Away struct {
	Err   error // why the connection was lost or not made
	Bye   string
	Retry time.Duration
}

// Joined tells that you are in a room. It comes again after each reconnect.
type Joined struct {
	Room    string `json:"room"`
	Epoch   string `json:"epoch"`
	Seq     uint64 `json:"seq"`    // of the newest message
	Oldest  uint64 `json:"oldest"` // of the oldest message that history has
	Members int    `json:"members"`
	Resumed bool   `json:"resumed"` // nothing was lost since you were here last
	// Again: you were in this room before. With Renumbered nothing is known about the time in between.
	Again, Renumbered bool `json:"-"`
}

// Message is something that was said.
type Message struct {
	Seq  uint64 `json:"seq"`
	Prev uint64 `json:"prev"` // Seq of the message before
	TS   int64  `json:"ts"`   // ms since 1970
	Room string `json:"room"`
	From Person `json:"from"`
	Text string `json:"text"`
	ID   string `json:"id,omitempty"` // the sender's own
}

// Time is when the message was said.
func (m Message) Time() time.Time { return time.UnixMilli(m.TS) }

// Confirmed tells that one of your messages was said. The Message itself is an
// event of its own, before or after this one. Seq is 0 when the server knows only that it was said.
type Confirmed struct {
	Room, ID string
	Seq      uint64
}

// Failed tells that one of your messages was refused. It is not tried again.
type Failed struct {
	Room, ID, Text string
	Err            error
}

// Gap tells that messages are missing: From <= seq <= To. History may still have them.
type Gap struct {
	Room   string `json:"room"`
	From   uint64 `json:"from"`
	To     uint64 `json:"to"`
	Missed int    `json:"missed,omitzero"` // how many; 0 is not known
}

// Presence is what has changed in a room. In a large one it is the count alone.
type Presence struct {
	Room    string    `json:"room"`
	Joined  []Person  `json:"joined,omitzero"`
	Left    []Person  `json:"left,omitzero"`
	Renamed []Renamed `json:"renamed,omitzero"`
	Members int       `json:"members"`
}

// Renamed is a changed nickname.
type Renamed struct {
	ID   string `json:"id"`
	Old  string `json:"old"`
	Nick string `json:"nick"`
}

// Typing tells that somebody is writing.
type Typing struct {
	Room string `json:"room"`
	From Person `json:"from"`
}

// Nick tells that your nickname has changed, and so has your token.
type Nick struct {
	Nick  string `json:"nick"`
	Token string `json:"token"`
}

// Left tells that you are no longer in a room: you have left it, or (with Err) could not join.
type Left struct {
	Room string
	Err  error
}

// Notice is an error of the server that no request has asked for, such as a nickname that is taken.
type Notice struct{ Err *Error }

func (Hello) event()     {}
func (Away) event()      {}
func (Joined) event()    {}
func (Message) event()   {}
func (Confirmed) event() {}
func (Failed) event()    {}
func (Gap) event()       {}
func (Presence) event()  {}
func (Typing) event()    {}
func (Nick) event()      {}
func (Left) event()      {}
func (Notice) event()    {}

// Codes of an Error.
const (
	BadRequest  = "bad_request"
	TooLong     = "too_long"
	NickTaken   = "nick_taken"
	NotMember   = "not_member"
	Forbidden   = "forbidden"
	Unavailable = "unavailable"
	RateLimited = "rate_limited"
	Unconfirmed = "unconfirmed"
)

// An Error is what the server answers to a request that failed.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	RetryMS int64  `json:"retry_ms"` // when it may be tried again; 0 is not said
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code
	}
	return e.Message
}

// passing says whether the same request can succeed later.
func (e *Error) passing() bool { return e.Code == Unavailable || e.Code == RateLimited }

// A RefusedError is an HTTP status instead of a WebSocket.
type RefusedError struct {
	Status int
	Text   string        // what the server says about it
	After  time.Duration // Retry-After
}

func (e *RefusedError) Error() string {
	text := fmt.Sprintf("the server refused the connection with HTTP status %d", e.Status)
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

// final says whether asking again would get the same answer.
func (e *RefusedError) final() bool {
	return e.Status >= 400 && e.Status < 500 && e.Status != 408 && e.Status != 429
}
