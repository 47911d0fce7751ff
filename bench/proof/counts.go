package proof

import "fmt"

// Kind is one way of breaking the promise that everybody hears everything.
type Kind int

// The kinds. Diverged is a member that saw two senders' messages in another
// order than the room's first receiver; Reordered concerns one sender's own.
const (
	Missing Kind = iota
	Duplicated
	Reordered
	Diverged
	Corrupted
	Misdelivered // a message of another room
	Invented     // announced as missed by the server, and not missed
	Unlinked     // throng.v1: does not follow the message before, by the numbers
	Kinds
)

// kindNames are the words of reports and of --fail-if.
var kindNames = [Kinds]string{"missing", "duplicated", "reordered", "diverged", "corrupted", "misdelivered", "invented", "unlinked"}

func (k Kind) String() string { return kindNames[k] }

// Counts has a number for each kind.
type Counts [Kinds]int64

// Add adds other to c.
func (c *Counts) Add(other Counts) {
	for k := range c {
		c[k] += other[k]
	}
}

// Finding is one violation, or several of one kind for one member and sender.
type Finding struct {
	Kind   string `json:"kind"`
	Member int    `json:"member"`
	Sender int    `json:"sender"`
	Seq    int64  `json:"seq"`   // of the first
	Count  int64  `json:"count"` // how many
	Detail string `json:"detail,omitempty"`
}

func (f Finding) String() string {
	text := fmt.Sprintf("%s: member %d, sender %d, from message %d: %d", f.Kind, f.Member, f.Sender, f.Seq, f.Count)
	if f.Detail != "" {
		text += " (" + f.Detail + ")"
	}
	return text
}

// Account is the sum over the rooms of a process.
type Account struct {
	Expected  int64              // deliveries that were due to the members whose accounts are closed
	Received  int64              // deliveries, each message counted once for each member
	Skipped   int64              // deliveries that did not happen where others had them, so far
	Announced int64              // those that were left out, and the server said so
	Notices   int64              // texts that are none of the load's
	Payload   int64              // bytes of the deliveries' payload, inflated
	Traffic   map[string]Traffic // throng.v1: what is no message of the load's
	Counts    Counts

	FindingsLimit int
	Findings      []Finding // the first violations by name; the counts have them all
}

// add keeps a finding, or counts it with the same member's and sender's.
func (a *Account) add(finding Finding) {
	if n := len(a.Findings); n > 0 {
		if last := &a.Findings[n-1]; last.Kind == finding.Kind && last.Member == finding.Member && last.Sender == finding.Sender {
			last.Count += finding.Count
			return
		}
	}
	if len(a.Findings) < a.FindingsLimit {
		a.Findings = append(a.Findings, finding)
	}
}

// note counts one violation.
func (r *Reference) note(m *Member, id int, kind Kind, s Stamp, detail string) {
	r.config.Account.Counts[kind]++
	r.exceptions(m).counts[kind]++
	r.config.Account.add(Finding{Kind: kind.String(), Member: id, Sender: s.Sender, Seq: s.Seq, Count: 1, Detail: detail})
}
