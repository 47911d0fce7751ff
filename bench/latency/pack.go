package latency

import (
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histogram is one that can be sent between processes as text.
type Histogram struct{ *hdrhistogram.Histogram }

// MarshalText writes the histogram in HdrHistogram's own compressed form.
func (h Histogram) MarshalText() ([]byte, error) {
	text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, fmt.Errorf("encode histogram: %w", err)
	}
	return text, nil
}

// UnmarshalText reads what MarshalText wrote.
func (h *Histogram) UnmarshalText(text []byte) (err error) {
	if h.Histogram, err = hdrhistogram.Decode(text); err != nil {
		return fmt.Errorf("decode histogram: %w", err)
	}
	return nil
}
