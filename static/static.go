// Package static holds the chat page: one HTML file, three style sheets, a
// few ES modules and a picture, embedded in the binary and served from memory.
//
// The one idea is that a page which shows strangers' text should be unable to
// run any of it. The Content-Security-Policy allows nothing but the files of
// this package and the WebSocket of the same host, and Trusted Types make the
// browser refuse every assignment that could turn a string into markup.
//
// Rules. The files need no build step and name no other host, so the page
// works without the internet. Together they stay under 30 KiB gzipped. The
// modules depend on each other in one direction:
//
//	page.js -> throng.js -> connection.js  the client library, which others may embed
//	        -> rooms.js  -> timeline.js    what is unread, what is known of a room
//	        -> list.js   -> items.js       what is shown
//	        -> outbox.js -> items.js -> text.js
//	        -> people.js, compose.js, status.js
//	        -> prefs.js                    what is remembered
//
// Comments and indentation are for those who read the files here: load leaves
// them out, and keeps the numbers of the lines.
//
// Handler is safe for any number of goroutines: everything that it reads is
// made once and never changed.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed *.html *.css *.js *.svg
var files embed.FS

// policy is the page's Content-Security-Policy.
//
// connect-src 'self' covers ws: and wss: of the same host and port by CSP
// Level 3 (section 6.7.2.8); Firefox and Chrome have done so since 2018,
// Safari since 15.4. Naming ws: itself would allow every host, and naming the
// Host header's value would put a stranger's bytes into the answer.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// contentTypes is written out because mime.TypeByExtension reads the machine's
// own tables, and some of them call a module text/plain, which nosniff refuses.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// asset is one file, ready to be sent.
type asset struct {
	body        []byte
	packed      []byte // the body, gzipped
	contentType string
	etag        string // strong: the hash of the body, without its closing quote
}

// Handler serves the page at / and its assets beside it. Every other path is
// answered 404, every other method than GET and HEAD 405. Answers carry a
// strong ETag and Cache-Control: no-cache, so a browser asks each time, gets
// 304 while nothing changed, and never runs half of an old page. Whoever takes gzip gets it.
func Handler() http.Handler {
	assets := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		a, ok := assets[r.URL.Path]
		if !ok {
			http.Error(w, "404 not found", http.StatusNotFound)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "405 method not allowed", http.StatusMethodNotAllowed)
			return
		}
		a.serve(w, r)
	})
}

// load reads the embedded files. They are part of the binary: an error here
// cannot be the machine's.
func load() map[string]asset {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		panic("static: " + err.Error())
	}
	assets := make(map[string]asset, len(entries))
	for _, entry := range entries {
		body, err := fs.ReadFile(files, entry.Name())
		if err != nil {
			panic("static: " + err.Error())
		}
		assets[urlPath(entry.Name())] = newAsset(entry.Name(), bare(entry.Name(), body))
	}
	return assets
}

// bare empties the lines of a module or a style sheet that are comments as a
// whole, and takes the indentation of the others away. A comment begins at the
// beginning of a line; no string in these files goes over several.
func bare(name string, body []byte) []byte {
	if ext := path.Ext(name); ext != ".js" && ext != ".css" {
		return body
	}
	lines := bytes.Split(body, []byte("\n"))
	inside := false
	for i, line := range lines {
		line = bytes.TrimSpace(line)
		begins, ends := bytes.HasPrefix(line, []byte("/*")), bytes.HasSuffix(line, []byte("*/"))
		switch {
		case inside, begins && (ends || !bytes.Contains(line, []byte("*/"))):
			inside = !ends
			line = nil
		case bytes.HasPrefix(line, []byte("//")):
			line = nil
		}
		lines[i] = line
	}
	return bytes.Join(lines, []byte("\n"))
}

// urlPath gives the page one address only, so that relative links and the
// browser's cache never see two.
func urlPath(name string) string {
	if name == "index.html" {
		return "/"
	}
	return "/" + name
}

func newAsset(name string, body []byte) asset {
	contentType, ok := contentTypes[path.Ext(name)]
	if !ok {
		panic("static: no content type for " + name)
	}
	sum := sha256.Sum256(body)
	return asset{body: body, packed: pack(body), contentType: contentType, etag: `"` + hex.EncodeToString(sum[:12])}
}

// pack compresses once what is sent to many. Writing to memory cannot fail.
func pack(body []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic("static: " + err.Error())
	}
	_, _ = w.Write(body)
	_ = w.Close()
	return b.Bytes()
}

// takesGzip reports whether an Accept-Encoding (RFC 9110, section 12.5.3) names gzip and does not refuse it. A browser's
// does; whoever writes it in another way gets the file as it is.
func takesGzip(accept string) bool {
	for coding := range strings.SplitSeq(accept, ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(coding, " ", ""), ";")
		if strings.EqualFold(name, "gzip") {
			return strings.Trim(strings.TrimPrefix(weight, "q="), "0.") != "" || weight == ""
		}
	}
	return false
}

// serve leaves conditions, HEAD and ranges to the standard library. The zero
// time keeps Last-Modified away: embedded files have none.
func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	body, end := a.body, `"`
	if takesGzip(r.Header.Get("Accept-Encoding")) {
		body, end = a.packed, `-gzip"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", a.etag+end)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// secure sets what every answer carries, errors included.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}
