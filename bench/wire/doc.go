// Package wire is the client's side of the WebSocket protocol (RFC 6455) on
// bytes in memory: what a load generator has to say and to understand.
//
// It knows no socket and allocates nothing in steady state. It deliberately
// shares no code with the server that Throng is, nor with the library the
// server builds on, so that a misreading of the RFC in one cannot hide behind
// the same misreading in the other.
//
//	Request          the upgrade request            ─┐
//	Response.Parse   the head of the answer          ├─ handshake.go
//	Accept           what the answer must prove     ─┘
//	Next             the next frame in some bytes   ─┐
//	Append           a masked frame                  ├─ frame.go
//	CloseInfo        what a close frame says        ─┘
//	Inflater         a compressed message, whole    ── inflate.go
//
// A partial frame or head is not an error: it is "need more".
package wire
