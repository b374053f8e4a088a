package referee_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

func TestMergeKeepsWhatIndicesMean(t *testing.T) {
	type meaning struct {
		client, path string
		server       referee.Server
		start        time.Time
		outcome      referee.Outcome
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := batches().Draw(t, "a"), batches().Draw(t, "b")
		b.Header.Client = "mobile-0"
		slices.Reverse(b.Header.Servers)
		b.Header.Paths = []string{"/x", "/y"}
		count := map[meaning]int{}
		for _, batch := range []referee.Batch{a, b} {
			for _, r := range batch.Records {
				m := meaning{client: batch.Header.Client, path: batch.Header.Paths[r.Path], start: r.Start(), outcome: r.Outcome}
				if r.Server != referee.NoServer {
					m.server = batch.Header.Servers[r.Server]
				}
				count[m]++
			}
		}
		log, err := referee.Merge(a, b)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range log.Records {
			count[meaning{log.Clients[r.Client], log.Paths[r.Path], log.ServerOf(r), r.Start(), r.Outcome}]--
		}
		for m, n := range count {
			if n != 0 {
				t.Fatalf("%+v: %d too few in the log", m, n)
			}
		}
		if !slices.IsSortedFunc(log.Records, func(x, y referee.Record) int { return x.Start().Compare(y.Start()) }) {
			t.Fatal("the log is not in the order of sending")
		}
	})
}

func TestMergeCountsNothingTwice(t *testing.T) {
	batch := func(client, run string, from, next uint64) referee.Batch {
		return referee.Batch{Header: referee.Header{Client: client, Run: run, From: from, Next: next, Lost: 2}}
	}
	_, err := referee.Merge(batch("web-0", "1", 0, 5), batch("web-0", "1", 4, 9))
	if err == nil || !strings.Contains(err.Error(), "web-0") {
		t.Errorf("overlapping batches: %v", err)
	}
	log, err := referee.Merge(batch("web-0", "1", 0, 5), batch("web-0", "1", 5, 9), batch("web-1", "1", 0, 9),
		batch("web-0", "2", 0, 9))
	if err != nil || log.Lost != 8 || !reflect.DeepEqual(log.Clients, []string{"web-0", "web-1"}) {
		t.Errorf("%+v, %v", log, err)
	}
	if log, err := referee.Merge(); err != nil || len(log.Records) != 0 {
		t.Errorf("merging nothing: %+v, %v", log, err)
	}
}

func TestIntervalsAreHalfOpen(t *testing.T) {
	from, until := epoch.Add(time.Second), epoch.Add(2*time.Second)
	in := referee.Interval{From: from, Until: until}
	for moment, want := range map[time.Time]bool{
		from.Add(-time.Microsecond): false, from: true, until.Add(-time.Microsecond): true, until: false,
	} {
		if in.Contains(moment) != want {
			t.Errorf("%s is in %v: %t", moment, in, !want)
		}
	}
	if !(referee.Interval{}).Contains(epoch) || (referee.Interval{From: epoch, Until: epoch}).Contains(epoch) {
		t.Error("no limits must hold all, an empty interval nothing")
	}
	if (referee.Interval{Until: epoch}).Contains(epoch) || !(referee.Interval{From: epoch}).Contains(epoch) {
		t.Error("one limit alone must still be half open")
	}
}

func TestARequestBelongsToTheMomentItWasSent(t *testing.T) {
	// Due before the interval, sent in it, ended after it.
	r := referee.Record{Due: epoch.UnixMicro() - 1, Lag: 1, Latency: 5e6, Outcome: 504}
	in := referee.Interval{From: epoch, Until: epoch.Add(time.Second)}
	if got := referee.Between([]referee.Record{r}, in); len(got) != 1 {
		t.Errorf("the request is not in the interval: %v", got)
	}
	if got := referee.Harmed([]referee.Record{r}, in, referee.Bad); got.Bad != 1 || got.Total != 1 {
		t.Errorf("harm %+v", got)
	}
}

func TestIntervalsPartitionTheRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOf(records(1, 1)).Draw(t, "records")
		cut := epoch.Add(time.Duration(rapid.Int64Range(-6e6, 24e6).Draw(t, "cut")) * time.Microsecond)
		before := referee.Between(all, referee.Interval{Until: cut})
		after := referee.Between(all, referee.Interval{From: cut})
		if len(before)+len(after) != len(all) {
			t.Fatalf("%d before and %d after of %d", len(before), len(after), len(all))
		}
		if got := referee.Between(all, referee.Interval{From: cut, Until: cut}); len(got) != 0 {
			t.Fatalf("%d in an empty interval", len(got))
		}
	})
}

func TestSelectAsksForAll(t *testing.T) {
	all := []referee.Record{at(0, 200, 1), at(0, 504, 1), at(0, 504, 2)}
	one := func(r referee.Record) bool { return r.Cohort == 1 }
	if got := referee.Select(all, one, referee.Bad); len(got) != 1 || got[0] != all[1] {
		t.Errorf("%v", got)
	}
	if got := referee.Select(all); len(got) != 3 {
		t.Errorf("no predicate selects %v", got)
	}
}
