// Package loop holds very many client connections on one thread: an epoll set
// of raw descriptors, one shared read buffer, no goroutine, timer or buffer per
// connection.
//
// A Loop belongs to the goroutine that calls Run; every method is to be called
// from there, which in practice means from a Handler's callbacks. A connection
// is a number below the capacity, chosen by the Handler; it can be dialled again
// after it was closed.
//
// A turn is, in this order: expire handshakes, Handler.Turn (which sends what is
// due and says how long the loop may sleep), wait, one read of up to 256 KiB for
// each readable connection. Polling is level-triggered on purpose: a read that
// leaves something behind is simply reported again, so that no connection can
// keep the loop to itself and no read is spent on learning EAGAIN.
//
//	Dial ──► connecting ──► upgrading ──► open ──► (Close, or the server did)
//	            └──────────────┴─► Failed   └─────► Closed
package loop
