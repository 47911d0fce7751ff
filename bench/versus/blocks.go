package versus

import (
	"fmt"
	"strings"
)

// SetBlock replaces what stands between the markers of a name in a document
// that people write:
//
//	<!-- bench NAME -->
//	generated
//	<!-- end NAME -->
//
// A document must have each pair of markers once.
func SetBlock(document, name, content string) (string, error) {
	begin, end := "<!-- bench "+name+" -->", "<!-- end "+name+" -->"
	if strings.Count(document, begin) != 1 || strings.Count(document, end) != 1 {
		return "", fmt.Errorf("it must have one line %s and one line %s, between which the figures go", begin, end)
	}
	before, rest, _ := strings.Cut(document, begin)
	_, after, found := strings.Cut(rest, end)
	if !found {
		return "", fmt.Errorf("%s stands before %s", end, begin)
	}
	return before + begin + "\n" + strings.Trim(content, "\n") + "\n" + end + after, nil
}
