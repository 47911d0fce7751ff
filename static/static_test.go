package static_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"throng/static"
)

// maxGzipped is what the page may weigh, all files together.
const maxGzipped = 30 << 10

func do(t *testing.T, method, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	static.Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// pageFiles are the files beside this test that belong to the page, by name.
func pageFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if name == "browser" {
			return fs.SkipDir // its tests in a browser
		}
		if err != nil || d.IsDir() || filepath.Ext(name) == ".go" {
			return err
		}
		b, err := os.ReadFile(name)
		files[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestServesEveryFileWithItsType(t *testing.T) {
	types := map[string]string{
		".html": "text/html; charset=utf-8",
		".css":  "text/css; charset=utf-8",
		".js":   "text/javascript; charset=utf-8",
		".svg":  "image/svg+xml",
	}
	for name, want := range pageFiles(t) {
		target := "/" + name
		if name == "index.html" {
			target = "/"
		}
		resp := do(t, "GET", target)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", target, resp.StatusCode)
		}
		if got := resp.Header.Get("Content-Type"); got != types[filepath.Ext(name)] {
			t.Errorf("%s: Content-Type %q", target, got)
		}
		if got := resp.Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("%s: Cache-Control %q", target, got)
		}
		checkContent(t, target, body(t, resp), want)
	}
}

// checkContent asserts that a file is served as it is, line by line, but for
// comments and indentation.
func checkContent(t *testing.T, target, got, file string) {
	t.Helper()
	served, written := strings.Split(got, "\n"), strings.Split(file, "\n")
	if len(served) != len(written) {
		t.Fatalf("%s: %d lines, the file has %d", target, len(served), len(written))
	}
	comment := regexp.MustCompile(`^\s*(//|/\*.*\*/$|$)`)
	code := strings.HasSuffix(target, ".js") || strings.HasSuffix(target, ".css")
	inside := false
	for i, line := range written {
		inside = inside || strings.HasPrefix(strings.TrimSpace(line), "/*")
		want := line
		if code {
			want = strings.TrimSpace(line)
		}
		if served[i] != want && !(code && served[i] == "" && (inside || comment.MatchString(line))) {
			t.Errorf("%s:%d: %q is served as %q", target, i+1, line, served[i])
		}
		if code && served[i] != "" && comment.MatchString(served[i]) {
			t.Errorf("%s:%d: a comment is served: %q", target, i+1, served[i])
		}
		inside = inside && !strings.HasSuffix(line, "*/")
	}
}

func TestHeadHasTheLengthAndNoBody(t *testing.T) {
	get, head := do(t, "GET", "/"), do(t, "HEAD", "/")
	if head.StatusCode != http.StatusOK || body(t, head) != "" {
		t.Errorf("status %d, or a body", head.StatusCode)
	}
	for _, name := range []string{"Content-Length", "Content-Type", "Etag"} {
		if g, h := get.Header.Get(name), head.Header.Get(name); g == "" || g != h {
			t.Errorf("%s: GET %q, HEAD %q", name, g, h)
		}
	}
}

func TestETag(t *testing.T) {
	etag := do(t, "GET", "/page.js").Header.Get("ETag")
	if !regexp.MustCompile(`^"[0-9a-f]{24}"$`).MatchString(etag) {
		t.Fatalf("not a strong tag: %q", etag)
	}
	if other := do(t, "GET", "/style.css").Header.Get("ETag"); other == etag {
		t.Error("two files have one tag")
	}
	for _, c := range []struct {
		ifNoneMatch string
		want        int
	}{
		{etag, http.StatusNotModified},
		{`"other", ` + etag, http.StatusNotModified},
		{"W/" + etag, http.StatusNotModified}, // weak comparison, RFC 9110 section 13.1.2
		{"*", http.StatusNotModified},
		{`"other"`, http.StatusOK},
	} {
		resp := do(t, "GET", "/page.js", "If-None-Match", c.ifNoneMatch)
		if resp.StatusCode != c.want {
			t.Errorf("If-None-Match %s: status %d, want %d", c.ifNoneMatch, resp.StatusCode, c.want)
		}
		if c.want == http.StatusNotModified && (body(t, resp) != "" || resp.Header.Get("ETag") != etag) {
			t.Errorf("If-None-Match %s: 304 with a body or without its tag", c.ifNoneMatch)
		}
	}
}

// TestGzip: whoever takes gzip gets the same file, shorter and with a tag of its own.
func TestGzip(t *testing.T) {
	plain := do(t, "GET", "/page.js")
	for accept, want := range map[string]bool{
		"gzip, deflate, br, zstd": true, "br, GZIP;q=0.5": true, "gzip; q=1": true,
		"": false, "identity": false, "br, gzip;q=0": false, "gzip;q=0.00": false, "x-gzip2": false,
	} {
		resp := do(t, "GET", "/page.js", "Accept-Encoding", accept)
		text := body(t, resp)
		if packed := resp.Header.Get("Content-Encoding") == "gzip"; packed != want || resp.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: %v", accept, resp.Header)
		}
		if !want {
			continue
		}
		if tag := resp.Header.Get("ETag"); tag == plain.Header.Get("ETag") || do(t, "GET", "/page.js", "Accept-Encoding", accept, "If-None-Match", tag).StatusCode != 304 {
			t.Errorf("the tag is %s", tag)
		}
		r, err := gzip.NewReader(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || string(b) != body(t, do(t, "GET", "/page.js")) {
			t.Errorf("%d bytes of another file: %v", len(b), err)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		method, target string
		want           int
	}{
		{"GET", "/index.html", 404},
		{"GET", "/static.go", 404},
		{"GET", "/page.js/", 404},
		{"GET", "/PAGE.JS", 404},
		{"GET", "//", 404},
		{"GET", "/../page.js", 404},
		{"GET", "/favicon.ico", 404},
		{"POST", "/nothing", 404},
		{"POST", "/", 405},
		{"PUT", "/page.js", 405},
		{"OPTIONS", "/", 405},
	} {
		resp := do(t, c.method, c.target)
		if resp.StatusCode != c.want {
			t.Errorf("%s %s: status %d, want %d", c.method, c.target, resp.StatusCode, c.want)
		}
		if allow := resp.Header.Get("Allow"); (c.want == 405) != (allow == "GET, HEAD") {
			t.Errorf("%s %s: Allow %q", c.method, c.target, allow)
		}
		if text := body(t, resp); strings.Contains(text, strings.Trim(c.target, "/.")) && len(c.target) > 2 {
			t.Errorf("%s %s: the answer repeats the path: %q", c.method, c.target, text)
		}
	}
}

func TestSecurityHeadersOnEveryAnswer(t *testing.T) {
	for _, resp := range []*http.Response{do(t, "GET", "/"), do(t, "GET", "/page.js"), do(t, "GET", "/no"), do(t, "POST", "/")} {
		for name, want := range map[string]string{
			"X-Content-Type-Options":     "nosniff",
			"Referrer-Policy":            "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%d: %s %q", resp.StatusCode, name, got)
			}
		}
		checkPolicy(t, resp.Header.Get("Content-Security-Policy"))
	}
}

func checkPolicy(t *testing.T, policy string) {
	t.Helper()
	got := map[string]string{}
	for directive := range strings.SplitSeq(policy, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
		got[name] = value
	}
	for name, want := range map[string]string{
		"default-src":     "'none'",
		"script-src":      "'self'",
		"style-src":       "'self'",
		"connect-src":     "'self'",
		"base-uri":        "'none'",
		"form-action":     "'none'",
		"frame-ancestors": "'none'",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for _, bad := range []string{"unsafe", "*", "data:", "blob:", "ws:", "http"} {
		if strings.Contains(policy, bad) {
			t.Errorf("the policy has %s: %s", bad, policy)
		}
	}
}

// What the policy would block must not be there: the browser would only log it.
func TestNothingInline(t *testing.T) {
	page := pageFiles(t)["index.html"]
	for what, pattern := range map[string]string{
		"a style attribute":    `(?i)<[^>]*\sstyle\s*=`,
		"a style element":      `(?i)<style`,
		"an event attribute":   `(?i)<[^>]*\son[a-z]+\s*=`,
		"a javascript address": `(?i)javascript:`,
	} {
		if found := regexp.MustCompile(pattern).FindString(page); found != "" {
			t.Errorf("%s: %s", what, found)
		}
	}
	for _, script := range regexp.MustCompile(`(?is)<script([^>]*)>(.*?)</script>`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(script[1], "src=") || strings.TrimSpace(script[2]) != "" {
			t.Errorf("inline script: %s", script[0])
		}
	}
}

// Strangers' text goes through text nodes only.
func TestNoMarkupFromStrings(t *testing.T) {
	sinks := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTMLUnsafe|DOMParser|\beval\b|new Function|setAttribute\('style|\.style\b|\.cssText`)
	for name, text := range pageFiles(t) {
		if filepath.Ext(name) != ".js" {
			continue
		}
		if found := sinks.FindString(text); found != "" {
			t.Errorf("%s uses %s", name, found)
		}
	}
}

// Everything that a file names is embedded, and nothing comes from another host.
func TestSelfContained(t *testing.T) {
	files := pageFiles(t)
	named := regexp.MustCompile(`(?:(?:src|href)="|from '\./)([^"'#]+)["']`)
	for name, text := range files {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if _, ok := files[m[1]]; !ok {
				t.Errorf("%s names %s, which is not embedded", name, m[1])
			}
		}
		foreign := regexp.MustCompile(`@import|: url\(|(?:src|href)="(?:https?:)?//|\bimport\(`)
		if found := foreign.FindString(text); found != "" {
			t.Errorf("%s reaches outside: %s", name, found)
		}
	}
}

func TestSize(t *testing.T) {
	total := 0
	for name, text := range pageFiles(t) {
		target := "/" + strings.TrimPrefix(name, "index.html")
		size := len(body(t, do(t, "GET", target, "Accept-Encoding", "gzip")))
		t.Logf("%6d %s", size, name)
		total += size
		if lines := strings.Count(text, "\n"); lines > 500 {
			t.Errorf("%s has %d lines", name, lines)
		}
	}
	if total == 0 || total > maxGzipped {
		t.Errorf("%d bytes gzipped, at most %d", total, maxGzipped)
	}
	t.Logf("%6d in all", total)
}
