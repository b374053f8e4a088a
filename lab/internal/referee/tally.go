package referee

// Tally is what a set of records holds, by each of the things a record says.
type Tally struct {
	Total int `json:"total"`
	// Bad is the number for which the predicate held.
	Bad      int             `json:"bad"`
	Outcomes map[Outcome]int `json:"outcomes"`
	// ExpectedTimeouts counts by the timeout in force in milliseconds; 0 is "the server was told none, or no server
	// answered".
	ExpectedTimeouts map[uint32]int `json:"expectedTimeoutsMs"`
	// Attempts counts by the attempt that was answered; 0 as above.
	Attempts map[uint8]int `json:"attempts"`
	// Resent, IDChanged and Stale count the flags.
	Resent    int `json:"resent"`
	IDChanged int `json:"idChanged"`
	Stale     int `json:"stale"`
}

// Count tallies records.
func Count(records []Record, bad Predicate) Tally {
	t := newTally()
	for _, r := range records {
		t.add(r, bad)
	}
	return t
}

func newTally() Tally {
	return Tally{
		Outcomes:         map[Outcome]int{},
		ExpectedTimeouts: map[uint32]int{},
		Attempts:         map[uint8]int{},
	}
}

func (t *Tally) add(r Record, bad Predicate) {
	t.Total++
	t.Outcomes[r.Outcome]++
	t.ExpectedTimeouts[r.ExpectedTimeout]++
	t.Attempts[r.Attempt]++
	if bad(r) {
		t.Bad++
	}
	t.Resent += one(r.Flags&Resent != 0)
	t.IDChanged += one(r.Flags&IDChanged != 0)
	t.Stale += one(r.Flags&Stale != 0)
}

// Halves is records cut by a window. Every record is in exactly one of the three.
type Halves struct {
	In      Tally `json:"in"`
	Out     Tally `json:"out"`
	Unknown Tally `json:"unknown"`
}

// Split tallies records by whether their cohort is in the window.
func Split(records []Record, w Window, bad Predicate) Halves {
	h := Halves{In: newTally(), Out: newTally(), Unknown: newTally()}
	for _, r := range records {
		switch {
		case r.Cohort == Unknown:
			h.Unknown.add(r, bad)
		case w.Contains(r.Cohort):
			h.In.add(r, bad)
		default:
			h.Out.add(r, bad)
		}
	}
	return h
}

// Share is the share of the requests of known cohort that fell into the window, against the window's own share.
func (h Halves) Share(w Window) Share {
	return NewShare(h.In.Total, h.In.Total+h.Out.Total, w.Share())
}

// Cross compares a window with what the mesh did to the same requests: a split that is exactly right has no
// InOther and no OutPicked.
type Cross struct {
	InPicked  int `json:"inPicked"`
	InOther   int `json:"inOther"`
	OutPicked int `json:"outPicked"`
	OutOther  int `json:"outOther"`
	// UnknownPicked and UnknownOther have no cohort: they speak neither for nor against the split.
	UnknownPicked int `json:"unknownPicked"`
	UnknownOther  int `json:"unknownOther"`
}

// Misplaced is the number of requests that the window and the mesh put on different sides.
func (c Cross) Misplaced() int { return c.InOther + c.OutPicked }

// Compare crosses the window with picked, a predicate that holds for requests that got the new policy. Pass only
// records of which picked can tell: a request without an answer has no expected timeout.
func Compare(records []Record, w Window, picked Predicate) Cross {
	var c Cross
	for _, r := range records {
		*c.cell(r.Cohort, w, picked(r))++
	}
	return c
}

func (c *Cross) cell(cohort Cohort, w Window, picked bool) *int {
	cells := map[bool]*int{true: &c.OutPicked, false: &c.OutOther}
	switch {
	case cohort == Unknown:
		cells = map[bool]*int{true: &c.UnknownPicked, false: &c.UnknownOther}
	case w.Contains(cohort):
		cells = map[bool]*int{true: &c.InPicked, false: &c.InOther}
	}
	return cells[picked]
}

// ByServer tallies records by the server that answered; the zero Server stands for no shop pod.
func (l Log) ByServer(records []Record, bad Predicate) map[Server]Tally {
	out := map[Server]Tally{}
	for _, r := range records {
		server := l.ServerOf(r)
		t, ok := out[server]
		if !ok {
			t = newTally()
		}
		t.add(r, bad)
		out[server] = t
	}
	return out
}
