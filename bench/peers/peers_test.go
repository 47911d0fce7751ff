package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

var defaults = options{leaveLimit: 1000}

func TestChat(t *testing.T) {
	eachPeer(t, defaults, func(t *testing.T, address string) {
		a := dialGorilla(t, address, "/chat/one")
		nickA := a.arrive()
		b := dialGobwas(t, address, "/chat/one?history=0")
		nickB := b.arrive()
		a.wantHear(nickB + ": here")
		stranger := dialGobwas(t, address, "/chat")
		nickC := stranger.arrive()
		if nickA == nickB || nickB == nickC || nickA == nickC {
			t.Fatalf("nicknames %s, %s, %s", nickA, nickB, nickC)
		}

		a.say("one")
		b.wantHear(nickA + ": one")
		a.wantHear(nickA + ": one")
		b.say("žluťoučký kůň ☃")
		a.wantHear(nickB + ": žluťoučký kůň ☃")
		b.wantHear(nickB + ": žluťoučký kůň ☃")

		// The lobby is one room under both its names, and has heard nothing of this.
		second := dialGorilla(t, address, "/chat/lobby")
		nickD := second.arrive()
		stranger.wantHear(nickD + ": here")
	})
}

// Both say 500 messages without waiting; both must hear the 1,000 in one order, and each speaker's in the order said.
func TestOrder(t *testing.T) {
	const each = 500
	eachPeer(t, defaults, func(t *testing.T, address string) {
		a := dialGorilla(t, address, "/chat/order")
		nickA := a.arrive()
		b := dialGobwas(t, address, "/chat/order")
		nickB := b.arrive()
		a.wantHear(nickB + ": here")

		var speakers sync.WaitGroup
		for _, m := range []*tester{a, b} {
			speakers.Go(func() { m.sayAll(each, func(i int) string { return fmt.Sprint(i) }) })
		}
		heardByB := make(chan string, 2*each)
		speakers.Go(func() {
			defer close(heardByB)
			for range 2 * each {
				_, line, err := b.read()
				if err != nil {
					t.Error(err)
					return
				}
				heardByB <- string(line)
			}
		})
		next := map[string]int{nickA: 0, nickB: 0}
		for range 2 * each {
			line := a.hear()
			if other := <-heardByB; other != line {
				t.Fatalf("one heard %q where the other heard %q", line, other)
			}
			nick, number, _ := strings.Cut(line, ": ")
			if number != fmt.Sprint(next[nick]) {
				t.Fatalf("heard %q, want number %d", line, next[nick])
			}
			next[nick]++
		}
		speakers.Wait()
	})
}

func TestLeave(t *testing.T) {
	for name, dial := range dialers {
		t.Run(name, func(t *testing.T) {
			eachPeer(t, defaults, func(t *testing.T, address string) {
				stays := dial(t, address, "/chat/leave")
				nick := stays.arrive()
				polite := dial(t, address, "/chat/leave")
				nickPolite := polite.arrive()
				stays.wantHear(nickPolite + ": here")
				polite.wantGoodbye()
				stays.wantHear(" .... " + nickPolite + " has left.")

				rude := dial(t, address, "/chat/leave")
				nickRude := rude.arrive()
				stays.wantHear(nickRude + ": here")
				rude.conn.Close()
				stays.wantHear(" .... " + nickRude + " has left.")

				stays.say("alone")
				stays.wantHear(nick + ": alone")
			})
		})
	}
}

func TestLeaveLimit(t *testing.T) {
	eachPeer(t, options{leaveLimit: 1}, func(t *testing.T, address string) {
		a := dialGorilla(t, address, "/chat/limit")
		nick := a.arrive()
		b := dialGobwas(t, address, "/chat/limit")
		nickB := b.arrive()
		c := dialGobwas(t, address, "/chat/limit")
		nickC := c.arrive()
		a.hear()
		a.hear()
		// Two remain after the one leave, which is more than the limit, and one after
		// the other: that one only is told, whichever the server notices last.
		c.wantGoodbye()
		b.conn.Close()
		if line := a.hear(); line != " .... "+nickB+" has left." && line != " .... "+nickC+" has left." {
			t.Errorf("heard %q", line)
		}
		a.say("alone")
		a.wantHear(nick + ": alone")
	})
}

// A member that does not read for a while must find everything when it does. What is said is more than the server's
// queue (256 messages of 32 KiB) and both socket buffers can hold, so the room has to wait or to keep it.
func TestSlowMemberLosesNothing(t *testing.T) {
	const messages = 600
	eachPeer(t, defaults, func(t *testing.T, address string) {
		slow := dialGorilla(t, address, "/chat/slow")
		slow.arrive()
		speaker := dialGobwas(t, address, "/chat/slow")
		nick := speaker.arrive()
		slow.wantHear(nick + ": here")

		var speaking sync.WaitGroup
		speaking.Go(func() { speaker.sayAll(messages, longText) })
		speaking.Go(func() { speaker.hearAll(messages, nick, longText) })
		speaker.waitForStall(messages)
		slow.hearAll(messages, nick, longText)
		speaking.Wait()
	})
}

// A member that vanishes while the room waits for it must not hold up the others.
func TestStuckMemberVanishes(t *testing.T) {
	const messages = 600
	eachPeer(t, options{leaveLimit: 0}, func(t *testing.T, address string) {
		stuck := dialGorilla(t, address, "/chat/stuck")
		stuck.arrive()
		speaker := dialGobwas(t, address, "/chat/stuck")
		nick := speaker.arrive()
		stuck.wantHear(nick + ": here")

		var speaking sync.WaitGroup
		speaking.Go(func() { speaker.sayAll(messages, longText) })
		speaking.Go(func() { speaker.hearAll(messages, nick, longText) })
		speaker.waitForStall(messages)
		stuck.conn.Close()
		speaking.Wait()
	})
}

func TestEcho(t *testing.T) {
	messages := []struct {
		op      ws.OpCode
		payload []byte
	}{
		{ws.OpText, []byte("hello")},
		{ws.OpBinary, []byte{0, 1, 2, 0xff}},
		{ws.OpText, nil},
		{ws.OpText, pattern(100 << 10)},
		{ws.OpBinary, pattern(1 << 20)},
	}
	for name, dial := range dialers {
		t.Run(name, func(t *testing.T) {
			eachPeer(t, defaults, func(t *testing.T, address string) {
				m := dial(t, address, "/echo")
				for _, want := range messages {
					if want.payload == nil && strings.HasSuffix(t.Name(), "/nbio") {
						continue // The library swallows it.
					}
					if err := m.write(want.op, want.payload); err != nil {
						t.Fatal(err)
					}
					op, payload, err := m.read()
					if err != nil {
						t.Fatal(err)
					}
					if op != want.op || !bytes.Equal(payload, want.payload) {
						t.Fatalf("%d bytes of opcode %d came back as %d of %d", len(want.payload), want.op, len(payload), op)
					}
				}
				m.wantGoodbye()
			})
		})
	}
}

// A message is a single frame, however long: the load tool counts frames.
func TestOneFramePerMessage(t *testing.T) {
	text := pattern(64 << 10)
	eachPeer(t, defaults, func(t *testing.T, address string) {
		m := dialGobwas(t, address, "/chat/frames")
		m.arrive()
		m.say(string(text))
		m.say(string(text))
		for range 2 {
			header, err := ws.ReadHeader(m.frames)
			if err != nil {
				t.Fatal(err)
			}
			size := header.Length - int64(len("user-N: "))
			if !header.Fin || header.OpCode != ws.OpText || size < int64(len(text)) || size > int64(len(text)+10) {
				t.Fatalf("header %+v for a message of %d bytes", header, len(text))
			}
			if _, err := io.CopyN(io.Discard, m.frames, header.Length); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestPingIsAnswered(t *testing.T) {
	eachPeer(t, defaults, func(t *testing.T, address string) {
		for _, path := range []string{"/chat", "/echo"} {
			m := dialGobwas(t, address, path)
			if err := m.write(ws.OpPing, []byte("are you there")); err != nil {
				t.Fatal(err)
			}
			header, err := ws.ReadHeader(m.frames)
			if err != nil {
				t.Fatal(err)
			}
			payload := make([]byte, min(header.Length, ws.MaxControlFramePayloadSize))
			if _, err := io.ReadFull(m.frames, payload); err != nil {
				t.Fatal(err)
			}
			if header.OpCode != ws.OpPong || string(payload) != "are you there" {
				t.Fatalf("%s: ping answered by opcode %d, %q", path, header.OpCode, payload)
			}
		}
	})
}

// Requests that are no handshakes are answered, and no room hears of them.
func TestPlainRequests(t *testing.T) {
	eachPeer(t, defaults, func(t *testing.T, address string) {
		m := dialGorilla(t, address, "/chat")
		nick := m.arrive()
		wanted := map[string]int{"/": 200, "/healthz": 200, "/nothing": 404, "/chat/a/b": 404, "/chat": 4, "/echo": 4}
		for path, want := range wanted {
			client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := client.Get("http://" + address + path)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			resp.Body.Close()
			if resp.StatusCode != want && resp.StatusCode/100 != want {
				t.Errorf("%s answered %s, want %d", path, resp.Status, want)
			}
		}
		m.say("anybody?")
		m.wantHear(nick + ": anybody?")
	})
}

func TestArguments(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		args []string
		code int
		says string
	}{
		{nil, 2, "usage: peers NAME"},
		{[]string{"socketlib"}, 2, "usage: peers NAME"},
		{[]string{"gorilla", "and", "more"}, 2, "usage: peers NAME"},
		{[]string{"gorilla", "--port", "1"}, 2, "not defined: -port"},
		{[]string{"--help"}, 0, "gobwas"},
		{[]string{"gws", "--listen", taken.Addr().String()}, 1, "address already in use"},
	}
	for _, test := range tests {
		var stderr bytes.Buffer
		if code := run(test.args, &stderr); code != test.code || !strings.Contains(stderr.String(), test.says) {
			t.Errorf("peers %q exits with %d and says %q; want %d and %q", test.args, code, &stderr, test.code, test.says)
		}
	}
}

// runAsPeers makes the test binary the command itself, for TestTerminate.
const runAsPeers = "RUN_AS_PEERS"

func TestMain(m *testing.M) {
	if os.Getenv(runAsPeers) != "" {
		main()
	}
	os.Exit(m.Run())
}

// SIGTERM ends the process at once and in order, whoever is connected.
func TestTerminate(t *testing.T) {
	for i := range peers {
		t.Run(peers[i].name, func(t *testing.T) {
			command := exec.Command(os.Args[0], peers[i].name, "--listen", "127.0.0.1:0")
			command.Env = append(os.Environ(), runAsPeers+"=1")
			stderr, err := command.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			overdue := time.AfterFunc(patience, func() { _ = command.Process.Kill() })
			defer overdue.Stop()
			line, err := bufio.NewReader(stderr).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			_, address, ok := strings.Cut(strings.TrimSpace(line), " listens on ")
			if !ok || !strings.Contains(line, peers[i].module+" v1.") && !strings.Contains(line, "unknown") {
				t.Fatalf("it says %q", line)
			}
			dialGorilla(t, address, "/chat").arrive()
			if err := command.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := command.Wait(); err != nil {
				t.Fatalf("it ended with %v", err)
			}
		})
	}
}
