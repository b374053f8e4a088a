package v1alpha1

// StepList is the canary's steps in the long form: of steps, or of stepWeights; none where it leaves them to the
// default.
func (c Canary) StepList() []CanaryStep {
	if len(c.StepWeights) == 0 {
		return c.Steps
	}
	out := make([]CanaryStep, len(c.StepWeights))
	for i, w := range c.StepWeights {
		out[i].SetWeight = &w
	}
	return out
}

// NotGrowing is the index of the first step whose weight is not greater than the weight before it, or -1.
func NotGrowing(steps []CanaryStep) int {
	last := Percent(0)
	for i, s := range steps {
		if s.SetWeight == nil {
			continue
		}
		if *s.SetWeight <= last {
			return i
		}
		last = *s.SetWeight
	}
	return -1
}

// Names lists the strategies that are set, in the words of the file.
func (s Strategy) Names() []string {
	var out []string
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"canary", s.Canary != nil}, {"blueGreen", s.BlueGreen != nil}, {"rolling", s.Rolling != nil},
		{"ab", s.AB != nil}, {"direct", s.Direct != nil},
	} {
		if f.set {
			out = append(out, f.name)
		}
	}
	return out
}
