package chat

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// tokenAge is how long a token is good for.
const tokenAge = 30 * 24 * time.Hour

// A claim is what a token says: who somebody was.
type claim struct {
	number uint64 // the person's
	nick   uint64 // the number of the nickname, with the flag chosen
	text   string // the nickname, if it was chosen
	issued int64  // seconds since 1970
}

const (
	tokenVersion = 1
	claimSize    = 1 + 8 + 8 + 8 // version, number, nick, issued
	macSize      = 16
)

var errToken = errors.New("this token is not one of this server's, or too old: you are somebody new")

// sign makes a token: the claim and the first 16 bytes of its HMAC-SHA256 (RFC 2104), in URL-safe Base64.
func (c claim) sign(key []byte) string {
	b := append(make([]byte, 0, claimSize+len(c.text)+macSize), tokenVersion)
	b = binary.BigEndian.AppendUint64(b, c.number)
	b = binary.BigEndian.AppendUint64(b, c.nick)
	b = binary.BigEndian.AppendUint64(b, uint64(c.issued))
	b = append(b, c.text...)
	return base64.RawURLEncoding.EncodeToString(append(b, mac(key, b)...))
}

// verify reads a token. The error is errToken, whatever is wrong with it.
func verify(key []byte, token string, now time.Time) (c claim, err error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < claimSize+macSize || b[0] != tokenVersion || base64.RawURLEncoding.EncodeToString(b) != token {
		return c, errToken // the last: what was written in another way, with bits that mean nothing or with new lines
	}
	b, sum := b[:len(b)-macSize], b[len(b)-macSize:]
	if !hmac.Equal(sum, mac(key, b)) {
		return c, errToken
	}
	c = claim{
		number: binary.BigEndian.Uint64(b[1:]), nick: binary.BigEndian.Uint64(b[9:]),
		issued: int64(binary.BigEndian.Uint64(b[17:])), text: string(b[claimSize:]),
	}
	// A clock that was put back must not make good tokens bad; one of tomorrow is nobody's.
	if age := now.Sub(time.Unix(c.issued, 0)); age > tokenAge || age < -time.Hour {
		return claim{}, errToken
	}
	return c, nil
}

func mac(key, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return h.Sum(nil)[:macSize]
}
