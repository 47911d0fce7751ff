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

// Tokens keeps tokens, which say who somebody was, in files of which each belongs to one server.
type Tokens struct {
	Dir string
}

// UserTokens keeps them in the folder for the user's state: $XDG_STATE_HOME/throng, else ~/.local/state/throng.
func UserTokens() (Tokens, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // the specification has relative ones ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return Tokens{}, fmt.Errorf("find the folder for the token: %w; set XDG_STATE_HOME, or give --no-token", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	return Tokens{Dir: filepath.Join(state, "throng")}, nil
}

// file is that of a server.
func (t Tokens) file(server *url.URL) string {
	return filepath.Join(t.Dir, "token-"+server.Scheme+"-"+url.QueryEscape(server.Host+strings.TrimSuffix(server.Path, "/chat")))
}

// Load reads a server's token; it is empty when there is none.
func (t Tokens) Load(server *url.URL) (string, error) {
	f, err := os.Open(t.file(server))
	if os.IsNotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	defer f.Close()
	b := make([]byte, maxToken)
	n, _ := f.Read(b)
	return strings.TrimSpace(string(b[:n])), nil
}

// Save keeps a server's token, readable for the user alone. The file is replaced at once, whoever else writes it.
func (t Tokens) Save(server *url.URL, token string) error {
	if err := t.save(t.file(server), token); err != nil {
		return fmt.Errorf("keep the token: %w; --no-token does without", err)
	}
	return nil
}

func (t Tokens) save(path, token string) error {
	if err := os.MkdirAll(t.Dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(t.Dir, ".token-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(token + "\n")
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
