package load

import "testing"

// Which processes have members of a room follows from how they take turns.
func TestSharing(t *testing.T) {
	for _, test := range []struct{ conns, rooms, processes int }{
		{10, 1, 1}, {10, 1, 3}, {2, 1, 2}, {12, 4, 2}, {12, 3, 2}, {12, 6, 4}, {7, 5, 3}, {30, 9, 6}, {12, 12, 5},
	} {
		for room := range test.rooms {
			has := make(map[int]bool)
			for process := range test.processes {
				c := Config{Conns: test.conns, Rooms: test.rooms, Process: process, Processes: test.processes}
				for id := range c.local() {
					if c.room(id) == room {
						has[process] = true
					}
				}
			}
			c := Config{Conns: test.conns, Rooms: test.rooms, Processes: test.processes}
			if got := c.sharing(room); got != len(has) {
				t.Errorf("%+v: room %d is shared by %d, want %d", test, room, got, len(has))
			}
		}
	}
}
