package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/url"
	"strings"
	"time"
)

// Lobby is the room of an address that names none.
const Lobby = "lobby"

// Limits of the protocol, and of this client.
const (
	maxRooms    = 32 // of a connection
	maxRoomName = 64
	inFlight    = 8                      // messages sent from the oldest one that is not confirmed on: half of what the server remembers, so that two connections with one token do each other no harm
	quiet       = 45 * time.Second       // of silence, then the server is asked for a sign of life
	grace       = 15 * time.Second       // for that sign
	helloTime   = 15 * time.Second       // for connecting, up to hello
	leastPause  = 100 * time.Millisecond // before what the server could not do at present is asked for again
	readLimit   = 64 << 20               // bytes of one message from the server
	backoffMin  = 500 * time.Millisecond
	backoffMax  = 30 * time.Second
)

// Config says whom to connect to, and who you are. The zero value of everything
// but URL is a good one.
type Config struct {
	// URL is where the server is: ws://HOST[:PORT], also with the path of a room,
	// /chat/ROOM, behind whatever prefix. See ParseURL.
	URL string
	// Rooms to join. With none it is the URL's, or the lobby.
	Rooms []string
	// Nick is the nickname that you would like.
	Nick string
	// Tokens keeps the token, which says who you are; nil is the client's own memory. Clients that share it are one
	// person.
	Tokens Tokens
	// History is how many of the latest messages of a room come when it is joined; 0 is 50, NoHistory none.
	History int

	// Backoff says how long to wait before an attempt, from 1; nil is from half a
	// second to half a minute, doubling, half of it by chance.
	Backoff func(attempt int) time.Duration
	// Clock is the time; nil is the system's.
	Clock Clock
	// Dial opens a connection; nil is DialWebSocket.
	Dial func(ctx context.Context, url string) (Conn, error)
	// IDs begins the ids of your messages. They must differ from those of all your
	// other connections, or the server takes a message for one said before; empty is 12 random characters.
	IDs string
}

// NoHistory is a Config.History.
const NoHistory = -1

// Tokens keeps the latest token, for one client or for several. Its methods are called on any goroutine; they must not call the
// client, and should take no longer than a file does.
type Tokens interface {
	// Load returns what was kept last, by whomever; empty is nothing.
	Load() (token string)
	Save(token string)
}

// memory is a client's own.
type memory struct{ token string }

func (m *memory) Load() string      { return m.token }
func (m *memory) Save(token string) { m.token = token }

// Clock is what a Client knows of time.
type Clock interface {
	Now() time.Time
	// At sends at a time, at once when that is over.
	At(t time.Time) <-chan time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time                  { return time.Now() }
func (systemClock) At(t time.Time) <-chan time.Time { return time.After(time.Until(t)) }

// after is a time from now on.
func (c *Client) after(d time.Duration) <-chan time.Time {
	return c.cfg.Clock.At(c.cfg.Clock.Now().Add(d))
}

// backoff doubles and spreads, so that those whom a restart has cut off do not come back all at once.
func backoff(attempt int) time.Duration {
	d := backoffMax
	if attempt < 7 {
		d = min(d, backoffMin<<max(0, attempt-1))
	}
	return d/2 + mathrand.N(d/2+1)
}

// defaults fills in what was left out.
func (c Config) defaults() Config {
	if c.Backoff == nil {
		c.Backoff = backoff
	}
	if c.Clock == nil {
		c.Clock = systemClock{}
	}
	if c.Tokens == nil {
		c.Tokens = &memory{}
	}
	if c.Dial == nil {
		c.Dial = DialWebSocket
	}
	switch {
	case c.History == 0:
		c.History = 50
	case c.History < 0:
		c.History = 0
	}
	if c.IDs == "" {
		var b [6]byte
		_, _ = rand.Read(b[:]) // it never fails
		c.IDs = hex.EncodeToString(b[:])
	}
	return c
}

// ParseURL splits an address into the one of the chat, which ends in /chat, and the
// room that it names, if any. Without a scheme ws is meant; http and https are ws and wss.
func ParseURL(address string) (base *url.URL, room string, err error) {
	if !strings.Contains(address, "://") {
		address = "ws://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, "", fmt.Errorf("bad address: %w", err)
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	case "ws", "wss":
	default:
		return nil, "", fmt.Errorf("bad address %q: it begins with ws:// or wss://", address)
	}
	path := strings.TrimSuffix(u.Path, "/")
	prefix, room, named := strings.Cut(path+"/", "/chat/")
	room = strings.TrimSuffix(room, "/")
	switch {
	case u.Host == "" || u.Hostname() == "":
		return nil, "", fmt.Errorf("bad address %q: it has no host", address)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, "", fmt.Errorf("bad address %q: it has more than a host and a path", address)
	case !named && path != "":
		return nil, "", fmt.Errorf("bad address %q: the path is /chat or /chat/ROOM", address)
	case room != "":
		if err := CheckRoom(room); err != nil {
			return nil, "", err
		}
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(prefix, "/") + "/chat"}, room, nil
}

// CheckRoom finds what is wrong with a room's name.
func CheckRoom(name string) error {
	bad := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r))
	}
	if name == "" || len(name) > maxRoomName || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("bad room %q: a room's name is 1 to %d of the characters A-Z a-z 0-9 . _ -", name, maxRoomName)
	}
	return nil
}

// Errors of requests.
var (
	// ErrAway: there is no connection, or it was lost before the answer.
	ErrAway = errors.New("not connected")
	// ErrNotMember: you have not joined that room.
	ErrNotMember = errors.New("you are not in that room")
	// ErrRooms: you are in as many rooms as a connection can have.
	ErrRooms = fmt.Errorf("one connection is in %d rooms at most", maxRooms)
	// ErrProtocol: what answered speaks another protocol.
	ErrProtocol = errors.New("the server does not speak throng.v1")

	errSilent = errors.New("the server is silent")
	errHello  = errors.New("the server has not said hello")
	errOther  = errors.New("another connection of yours has got a new identity, which is taken over")
)
