// Package proof decides whether a room heard everything: exactly once, in
// order, unaltered, every member of it. It knows no socket.
//
// Its idea is that all members of a room should receive the same bytes. The
// first member to receive a message appends its frame to the room's Reference.
// Every other Member is a position in that reference, and what it receives is
// compared with the bytes that stand there, which runs at the speed of memory
// and checks order, checksum and content at once:
//
//	reference   │ a: 0 │ b: 0 │ a: 1 │ a: 2 │ b: 1 │ …
//	member 0                              ▲          first here: its next frame is decoded and appended
//	member 1             ▲                           compares
//	member 2                    ▲  !                 differs: decodes, and keeps its exceptions
//
// Only where the bytes differ, or where nothing stands yet, is a frame decoded;
// its Stamp says which message of which sender it is. What a member skipped,
// received twice or late is kept as an exception of that member, so that the
// counts are exact and yet an honest member costs about fifty bytes.
//
// In throng.v1 an object is decoded where the bytes differ. Besides its Stamp it has
// the number of the message before it, which must be the member's last: a loss that
// a client could not see is found as well as one that it could. What a server says
// beside the messages stands in no reference; what all are told is read once.
//
// Everything belongs to the goroutine of the loop that feeds it.
package proof
