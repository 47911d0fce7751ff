// Package v1 is the client's side of throng.v1, Throng's protocol in JSON, as
// docs/throng.v1.md has it: what a load generator has to say and to understand.
//
// Requests are put together by hand, because a sender makes thousands a second.
// What the server says is read by encoding/json, strictly: it is read once for a
// room and not once for a member, as long as the members hear the same.
package v1

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Name is the protocol's name as a subprotocol.
const Name = "throng.v1"

// Remembered is how many of a member's messages a server knows by their ids: so
// many may be in flight when a connection is lost, and be said again.
const Remembered = 16

// The objects that a client must tell apart.
const (
	Hello    = "hello"
	Joined   = "joined"
	Msg      = "msg"
	Presence = "presence"
	Gap      = "gap"
	Typing   = "typing"
	Error    = "error"
	Bye      = "bye"
)

// Person is somebody, as others see them.
type Person struct {
	ID   string `json:"id"`
	Nick string `json:"nick"`
}

// Object is what a server sends; T says which of the fields it has.
type Object struct {
	T       string          `json:"t"`
	ID      string          `json:"id"`
	Room    string          `json:"room"`
	Seq     uint64          `json:"seq"`
	Prev    uint64          `json:"prev"`
	From    json.RawMessage `json:"from"` // of a message its author, of a gap a number
	To      uint64          `json:"to"`
	Missed  uint64          `json:"missed"`
	Text    string          `json:"text"`
	Me      Person          `json:"me"`
	Token   string          `json:"token"`
	Epoch   string          `json:"epoch"`
	Resumed bool            `json:"resumed"`
	Code    json.RawMessage `json:"code"` // of an error a word, of a bye a number
	Message string          `json:"message"`
	Reason  string          `json:"reason"`
	RetryMS int64           `json:"retry_ms"`
}

// errNoType is an object that does not say what it is.
var errNoType = errors.New("an object without a t")

// Decode reads an object.
func Decode(payload []byte) (*Object, error) {
	o := new(Object)
	if err := json.Unmarshal(payload, o); err != nil {
		return nil, err
	}
	if o.T == "" {
		return nil, errNoType
	}
	return o, nil
}

// Word is an error's code.
func (o *Object) Word() string { return strings.Trim(string(o.Code), `"`) }

// Missing is which numbers a gap has, and how many messages with such numbers
// there were. It reports false for a gap that makes no sense.
func (o *Object) Missing() (from, to, missed uint64, ok bool) {
	from, err := strconv.ParseUint(string(o.From), 10, 64)
	ok = err == nil && 0 < from && from <= o.To && 0 < o.Missed && o.Missed-1 <= o.To-from
	return from, o.To, o.Missed, ok
}

// MessageID is the id that a sender gives its message with a number.
func MessageID(seq int64) string { return strconv.FormatInt(seq, 36) }

// Number is the number behind an id that MessageID has made.
func Number(id string) (seq int64, err error) { return strconv.ParseInt(id, 36, 64) }

// AppendSay begins a request to say a sender's message with a number in a room; a text that needs no
// escaping follows, and then SayEnd.
func AppendSay(dst []byte, seq int64, room string) []byte {
	dst = strconv.AppendInt(append(dst, `{"op":"say","id":"`...), seq, 36)
	dst = append(append(dst, `","room":"`...), room...)
	return append(dst, `","text":"`...)
}

// SayEnd ends what AppendSay began.
const SayEnd = `"}`

// Seat is what a client must remember to come back as who it was.
type Seat struct {
	Who   string // its id
	Token string
	Epoch string // of the room
	After uint64 // the last number that it has
}

// Path adds to a path what a newcomer asks for, who wants nothing that was said
// before; or, with a seat, somebody who comes back.
func Path(path string, seat *Seat) string {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	path += separator + "history=0"
	if seat == nil || seat.Token == "" {
		return path
	}
	path += "&token=" + url.QueryEscape(seat.Token)
	if seat.Epoch != "" {
		path += fmt.Sprintf("&epoch=%s&after=%d", url.QueryEscape(seat.Epoch), seat.After)
	}
	return path
}

// Room is the name of the room that a path leads to.
func Room(path string) string {
	path, _, _ = strings.Cut(path, "?")
	name := path[strings.LastIndexByte(path, '/')+1:]
	if name == "" || name == "chat" {
		return "lobby"
	}
	return name
}
