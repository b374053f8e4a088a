package strategy

// UnavailableError says that a strategy is designed but not built yet. Callers make a finding of it.
type UnavailableError struct {
	// Strategy is its name as in a file: blueGreen, rolling or ab.
	Strategy string
}

// Error names the strategies that do work.
func (e *UnavailableError) Error() string {
	return "planning " + e.Strategy + ": the strategy comes in a later release; use canary or direct"
}

// InputError says that a Rollout cannot be planned. Load and validate refuse such a Rollout first; it stays for callers
// that build one themselves, and for flags.
type InputError struct {
	// Field is the path in the Rollout.
	Field string
	// Reason says what is wrong, Next what to do.
	Reason string
	Next   string
}

// Error is one line with everything in it.
func (e *InputError) Error() string {
	return "planning: " + e.Field + ": " + e.Reason + "; " + e.Next
}
