package main

import (
	"strings"
	"testing"

	"throng/bench/report"
)

func TestWhatFailsARun(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*report.Result)
		want  string // nothing if it passes
	}{
		"nothing":           {func(*report.Result) {}, ""},
		"invented gaps":     {func(r *report.Result) { r.Proof.Invented = 3 }, "3 announced as left out"},
		"orders in rooms":   {func(r *report.Result) { r.Proof.OneOrder, r.Plan.Rooms = false, 3 }, "saw different orders"},
		"orders with gaps":  {func(r *report.Result) { r.Proof.OneOrder, r.Proof.Announced = false, 1 }, ""},
		"no storm":          {func(r *report.Result) { r.Storm = &report.Storm{} }, "there was no storm"},
		"an endless storm":  {func(r *report.Result) { r.Storm = &report.Storm{Rounds: 2, Unfinished: 1} }, "was not over at the end"},
		"a storm":           {func(r *report.Result) { r.Storm = &report.Storm{Rounds: 1} }, ""},
		"no visit":          {func(r *report.Result) { r.Churn = &report.Churn{HeldBack: 9} }, "not one visit"},
		"a visit":           {func(r *report.Result) { r.Churn = &report.Churn{Visits: 1} }, ""},
		"no visit, cut":     {func(r *report.Result) { r.Churn, r.CutShort = &report.Churn{}, "interrupted" }, ""},
		"failed handshakes": {func(r *report.Result) { r.Connect.Failed = 1 }, "1 connections failed to open"},
	} {
		r := &report.Result{Plan: report.Plan{Rooms: 1}, Proof: report.Proof{OneOrder: true}}
		test.spoil(r)
		judge(r, &common{Order: "total"})
		if got := strings.Join(r.Failures, "; "); test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%s: failures %q, want %q", name, got, test.want)
		}
	}
}
