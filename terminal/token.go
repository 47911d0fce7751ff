package terminal

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// maxToken bounds what is read of a token's file.
const maxToken = 4096

// A TokenFile keeps the token of one server, which says who somebody is there: a client.Tokens, for all of a user's processes.
type TokenFile struct {
	path string
	last string // that was read or written
	err  error
}

// UserToken is the file of a server in the folder for the user's state: $XDG_STATE_HOME/throng, else ~/.local/state/throng. The
// error says why it cannot be read, if it is there.
func UserToken(server *url.URL) (*TokenFile, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // the specification has relative ones ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("find the folder for the token: %w; set XDG_STATE_HOME, or give --no-token", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	name := "token-" + server.Scheme + "-" + url.QueryEscape(server.Host+strings.TrimSuffix(server.Path, "/chat"))
	t := &TokenFile{path: filepath.Join(state, "throng", name)}
	return t, t.read()
}

// Load returns what the file has; what it had, or should have, when it cannot be read or is not there.
func (t *TokenFile) Load() string {
	_ = t.read()
	return t.last
}

func (t *TokenFile) read() error {
	f, err := os.Open(t.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the token: %w", err)
	}
	defer f.Close()
	b := make([]byte, maxToken)
	n, _ := f.Read(b)
	t.last = strings.TrimSpace(string(b[:n]))
	return nil
}

// Save keeps a token, readable for the user alone. The file is replaced at once, whoever else writes it.
func (t *TokenFile) Save(token string) {
	t.last = token
	if t.err = t.save(token); t.err != nil {
		t.err = fmt.Errorf("keep the token: %w; --no-token does without", t.err)
	}
}

// Err says why the latest token could not be kept. When the client has ended.
func (t *TokenFile) Err() error { return t.err }

func (t *TokenFile) save(token string) error {
	dir := filepath.Dir(t.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".token-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(token + "\n")
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), t.path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
