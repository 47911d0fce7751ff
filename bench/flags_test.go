package main

import (
	"testing"

	"throng/bench/load"
)

func TestRatesAndCountsAreWrittenAlike(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "500": 500, "10k": 10_000, "1.5M": 1_500_000, "0.5": 0.5} {
		var rate perSecond
		if err := rate.UnmarshalText([]byte(text)); err != nil || float64(rate) != want {
			t.Errorf("%s: %v, %v", text, rate, err)
		}
	}
	for _, text := range []string{"", "k", "-1", "nan", "inf", "1e300k", "101m", "10 k"} {
		var rate perSecond
		var number count
		if rate.UnmarshalText([]byte(text)) == nil || number.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q was accepted as %v, %v", text, rate, number)
		}
	}
}

// Where there are fewer members than there usually are senders, all send.
func TestTheDefaultOfSenders(t *testing.T) {
	three := count(3)
	for _, test := range []struct {
		given              *count
		conns, rooms, want int
	}{
		{nil, 1000, 1, 8}, {nil, 8, 1, 8}, {nil, 5, 1, 5}, {nil, 1, 1, 1}, {nil, 40, 10, 4}, {nil, 5, 10, 1}, {nil, 5, 0, 5},
		{&three, 1000, 1, 3}, {&three, 2, 1, 3},
	} {
		config := load.Config{Conns: test.conns, Rooms: test.rooms}
		s := speakers{Senders: test.given}
		if s.apply(&config); config.Senders != test.want {
			t.Errorf("%d connections, %d rooms: %d senders, want %d", test.conns, test.rooms, config.Senders, test.want)
		}
	}
}
