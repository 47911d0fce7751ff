package target

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// listening is the state of a listening socket in /proc/PID/net/tcp.
const listening = "0A"

// Listeners are the TCP addresses at which a process and its descendants
// listen. One that stands for all addresses is given as the loopback one.
func Listeners(pid int) (addresses []netip.AddrPort) {
	sockets := make(map[string]bool)
	for _, p := range family(pid) {
		files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p))
		for _, file := range files {
			if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p, file.Name())); err == nil && strings.HasPrefix(to, "socket:[") {
				sockets[strings.Trim(to, "socket:[]")] = true
			}
		}
	}
	for _, table := range []string{"tcp", "tcp6"} {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		for row := range strings.Lines(string(text)) {
			fields := strings.Fields(row)
			if len(fields) < 10 || fields[3] != listening || !sockets[fields[9]] {
				continue
			}
			if address, ok := parseAddress(fields[1]); ok && !slices.Contains(addresses, address) {
				addresses = append(addresses, address)
			}
		}
	}
	return addresses
}

// parseAddress reads "0100007F:2382": an address as words in the byte order of
// the machine, which is little-endian on all that this is made for, and a port.
func parseAddress(text string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	number, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(raw)%net.IPv4len != 0 {
		return netip.AddrPort{}, false
	}
	for word := range slices.Chunk(raw, net.IPv4len) {
		slices.Reverse(word)
	}
	address, ok := netip.AddrFromSlice(raw)
	if address.IsUnspecified() {
		address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.AddrPortFrom(address.Unmap(), uint16(number)), ok
}
