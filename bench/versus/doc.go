// Package versus lays servers beside each other: the same scenarios against
// each of them, in turn and again.
//
// Its one idea: on a machine that others use too, or that changes its clock, the time
// of today says little about the time of a minute ago, but two servers that are
// measured right after each other meet the same conditions. So rounds are
// interleaved, and every ratio is taken within a round:
//
//	round 1   fan-out: A B C    echo: A B C    …
//	round 2   fan-out: B C A    echo: B C A    …
//
// What is shown is the median over the rounds, of the figures and of their
// ratios, each with the least and the greatest. The quotient of two medians may
// thus differ a little from the median of the quotients.
//
// The package does not know how a server is started or measured: Run is given a
// function that does it, once per server, scenario and round.
package versus
