package server_test

import (
	"path/filepath"
	"testing"

	"throng/server"
)

func TestOrigin(t *testing.T) {
	loopback := []string{"127.0.0.1:0"}
	public := []string{"0.0.0.0:0"}
	for _, test := range []struct {
		origin string // "" for none
		listen []string
		allow  []string
		status int
	}{
		{"", public, nil, 101},
		{"http://chat.example:8080", public, nil, 101},
		{"https://chat.example", public, nil, 101},
		{"https://CHAT.example:444", public, nil, 101},
		{"http://chat.example.evil.example", public, nil, 403},
		{"http://evil.example", loopback, nil, 403},
		{"http://chat.example@evil.example", public, nil, 403},
		{"http://evilchat.example", public, nil, 403},
		{"http://localhost:3000", public, nil, 101},
		{"http://LOCALHOST", public, nil, 101},
		{"http://127.0.0.1", public, nil, 101},
		{"http://127.8.9.10:80", public, nil, 101},
		{"http://[::1]:80", public, nil, 101},
		{"http://[::ffff:127.0.0.1]", public, nil, 101},
		{"http://localhost.evil.example", public, nil, 403},
		{"http://128.0.0.1", public, nil, 403},
		{"null", loopback, nil, 101},
		{"null", public, nil, 403},
		{"null", []string{"127.0.0.1:0", "0.0.0.0:0"}, nil, 403},
		{"null", []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s")}, nil, 403},
		{"null", public, []string{"null"}, 101},
		{"file://", loopback, nil, 403},
		{"chat.example", public, nil, 403},
		{"%zz", public, nil, 403},
		{"http://a.example http://chat.example", public, nil, 403},
		{"https://app.example", public, []string{"https://app.example"}, 101},
		{"https://APP.example", public, []string{"https://b.example", "https://app.example"}, 101},
		{"http://app.example", public, []string{"https://app.example"}, 403},
		{"https://app.example:444", public, []string{"https://app.example"}, 403},
		{"https://evil.example", public, []string{"*"}, 101},
	} {
		t.Run(test.origin, func(t *testing.T) {
			x := start(t, setup{config: server.Config{Listen: test.listen, AllowOrigins: test.allow}})
			c := x.dial()
			if test.origin == "" {
				c.write([]byte(upgrade()))
			} else {
				c.write([]byte(upgrade("Origin: " + test.origin)))
			}
			if test.status == 101 {
				c.accepted()
			} else {
				c.refused(test.status)
			}
		})
	}
}

// The host of an absolute target counts, not the Host beside it.
func TestOriginOfAbsoluteTarget(t *testing.T) {
	x := start(t, setup{})
	c := x.dial()
	c.write([]byte(upgradeTo("http://other.example/chat", "Origin: http://chat.example")))
	c.refused(403)
	c = x.dial()
	c.write([]byte(upgradeTo("http://other.example/chat", "Origin: http://other.example")))
	c.accepted()
}
