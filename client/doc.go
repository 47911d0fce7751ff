// Package client is a client of the chat protocol throng.v1 (docs/throng.v1.md).
//
// Its one idea: a person stays in the rooms while connections come and go. A
// [Client] connects, and connects again when a connection is lost; it then is the same
// member as before, goes on in each room behind the last message that it has, and
// sends what was not acknowledged. What happens comes as events, in order; what is
// lost comes as an event as well.
//
//	Say, Join, Leave ...  --> state <--> a connection <--> the server
//	Events           <------- state
//
// One lock guards the state. Run reads from the connection and hands out the events, waiting for
// whoever receives them: who is slow is sent less, and is told what was missed. A
// second goroutine of each connection writes. All methods may be called from any
// goroutine; none of those without a context waits for anything.
package client
