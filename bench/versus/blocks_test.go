package versus_test

import (
	"strings"
	"testing"

	"throng/bench/versus"
)

func TestABlockIsReplacedAndNothingElse(t *testing.T) {
	document := "# Title\n\n<!-- bench a -->\nold\n\nolder\n<!-- end a -->\n\nText.\n<!-- bench ab -->\n<!-- end ab -->\n"
	want := "# Title\n\n<!-- bench a -->\nnew\nlines\n<!-- end a -->\n\nText.\n<!-- bench ab -->\n<!-- end ab -->\n"
	for range 2 { // the second time nothing changes
		var err error
		if document, err = versus.SetBlock(document, "a", "\nnew\nlines\n\n"); err != nil || document != want {
			t.Fatalf("%v\n%s", err, document)
		}
	}
}

func TestMarkersMustBeThereOnce(t *testing.T) {
	const begin, end = "<!-- bench a -->\n", "<!-- end a -->\n"
	for _, test := range []struct{ document, want string }{
		{"", "one line"}, {begin, "one line"}, {end, "one line"}, {begin + end + begin + end, "one line"},
		{end + begin, "<!-- end a --> stands before <!-- bench a -->"},
	} {
		if _, err := versus.SetBlock(test.document, "a", "new"); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.document, err, test.want)
		}
	}
}
