package conformance

import (
	"fmt"
	"testing"
)

// pipelined sends 0 to 4,096 bytes behind the request, in the same write, and the
// rest when the server has read those: none is lost, none is read twice.
func (target *Target) pipelined(t *testing.T) {
	const most = 4096
	var x exchange
	for i := 0; len(x.send) < most+100; i++ {
		payload := pattern(i * 7 % 150)
		x.send = append(x.send, masked(fin|text, payload)...)
		x.want = append(x.want, message{op: text, payload: payload})
	}
	step := 1
	if target.Sample {
		step = 13
	}
	parallel(t, most/step+1, func(i int) error {
		behind := func(_ string, head, size int) []int { return []int{head + i*step, head + size} }
		if err := target.play(x, behind); err != nil {
			return fmt.Errorf("%d bytes behind the request: %w", i*step, err)
		}
		return nil
	})
}

// halfClose ends the client's side of TCP behind its questions, without a close
// frame: it still gets the answers, and an end that is no reset.
func (target *Target) halfClose(t *testing.T) {
	parallel(t, 40, func(n int) error {
		path, _ := target.Connect(target.conns.Add(1))
		c, err := target.dial(false)
		if err != nil {
			return err
		}
		defer c.Close()
		b := []byte(request(path, ""))
		for range n {
			b = append(b, masked(fin|ping, "?")...)
		}
		c.deliver(b, []int{len(b)})
		if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			return err
		}
		if err := c.accepted(exchange{}); err != nil {
			return err
		}
		for i := range n {
			if m, err := c.frame(); err != nil || m != (message{op: pong, payload: "?"}) {
				return fmt.Errorf("answer %d of %d: %v, %w", i, n, m, err)
			}
		}
		return c.end()
	})
}

// Large is one text of that many bytes, whole and in fragments of a size.
func (target *Target) Large(t *testing.T, bytes, fragment int) {
	long := pattern(bytes)
	cut := exchange{name: fmt.Sprintf("%d bytes in fragments of %d", bytes, fragment), want: []message{{op: text, payload: long}}}
	for at, first := 0, byte(text); at < bytes; at, first = at+fragment, cont {
		cut.send = append(cut.send, masked(first, long[at:min(at+fragment, bytes)])...)
	}
	cut.send = append(cut.send, masked(fin|cont, "")...)
	target.playAll(t, []exchange{
		{name: fmt.Sprintf("%d bytes", bytes), send: masked(fin|text, long), want: []message{{op: text, payload: long}}}, cut,
	}, whole)
}
