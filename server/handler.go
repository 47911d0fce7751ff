package server

import (
	"github.com/gobwas/ws"

	"throng/frame"
)

// Message is a complete text or binary message. Payload is valid only until
// the call that it was given to returns.
type Message = frame.Message

// Handler is the application. Its methods are called on the connection's
// worker, one at a time for one connection, and must not block. A panic in one
// closes that connection with 1011 and nothing else; in Upgrade it answers 500.
//
// For each connection: Upgrade, Open, then Message and Writable in any number,
// then Close exactly once. Error may come before Close.
type Handler interface {
	// Upgrade decides about a well-formed upgrade request. It answers 101 to
	// accept, having perhaps chosen a Protocol, or the status of the refusal:
	// 400, 403, 404 or 503. What is no refusal is answered 500.
	Upgrade(r *Request) (status int)
	// Open is called when the answer 101 has been queued. r dies with the call.
	Open(c *Conn, r *Request)
	// Message is called for each text or binary message. false means "not now":
	// the connection keeps the message and reads nothing more until
	// Conn.Resume, then offers it again.
	Message(c *Conn, m Message) (taken bool)
	// Writable is called when everything that was waiting to be sent has gone
	// out, after Send or WriteFrames could not send all.
	Writable(c *Conn)
	// Close is called once when the connection leaves the open state, before
	// the close frame is sent. code is what the peer said (1005 when it said
	// nothing), what the server says, or 1006 when the connection broke.
	Close(c *Conn, code ws.StatusCode, reason string)
	// Error tells what went wrong before a Close that is not a normal one: a
	// frame.Error, a system error, or one of this package's.
	Error(c *Conn, err error)
}

// Farewell is a Handler that has a last word to connections that the server ends for
// a reason of its own: it drains, is short of memory, or the peer was too slow or
// silent.
type Farewell interface {
	// Farewell returns the text of a message to be sent before the close frame,
	// empty for none. It is called before Close.
	Farewell(c *Conn, code ws.StatusCode, reason string) (text []byte)
}

// Turner is a Handler with work of its own between the events, such as
// fan-out.
type Turner interface {
	// Start is called once, before anything else.
	Start(s *Server)
	// Turn does a bounded amount of work on the worker and reports whether some
	// is left. Connections that are closed meanwhile are closed after it.
	Turn(worker int) (more bool)
	// Tick is called on each worker about four times a second.
	Tick(worker int)
}

// Close codes of this server's own, from the private range of RFC 6455,
// section 7.4.2.
const (
	CodeSlow   ws.StatusCode = 4000 // slow consumer
	CodeKicked ws.StatusCode = 4001
	CodeForbid ws.StatusCode = 4003 // forbidden
	CodeIdle   ws.StatusCode = 4008
	// CodeBroken is never sent: the connection ended without a close frame.
	CodeBroken ws.StatusCode = 1006
	// CodeNone is never sent: the peer's close frame had no code.
	CodeNone ws.StatusCode = 1005
	// CodeOverload is 1013, try again later.
	CodeOverload ws.StatusCode = 1013
)

// Error is a reason of the server's own for ending a connection.
type Error uint8

// Reasons, as Handler.Error gets them.
const (
	ErrStalled Error = iota + 1 // the peer has taken nothing for StallTimeout
	ErrSilent                   // no answer to a ping
	ErrPanic                    // the handler panicked
	ErrEOF                      // the peer hung up without a close frame
	ErrMemory                   // the memory that it held was needed
)

// Error says it in words.
func (e Error) Error() string {
	switch e {
	case ErrStalled:
		return "the peer has stopped reading"
	case ErrSilent:
		return "the peer does not answer a ping"
	case ErrPanic:
		return "internal error"
	case ErrEOF:
		return "the peer hung up without a close frame"
	case ErrMemory:
		return "the server is short of memory"
	}
	return "unknown error"
}
