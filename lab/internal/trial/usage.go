package trial

// PID is the process of a run, for whoever measures it.
func (r *Run) PID() int { return r.cmd.Process.Pid }
