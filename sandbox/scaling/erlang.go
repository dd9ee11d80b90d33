package scaling

import "math"

// ErlangC returns the probability that a customer has to wait if they arrive at random,
// offer as many servers' work at a time as load says, and are served for exponential
// times by so many servers (A. K. Erlang, "Solution of some problems in the theory of
// probabilities of significance in automatic telephone exchanges", 1917). It is the
// closed form of the simulation without starts, pulls and days.
func ErlangC(servers int, load float64) float64 {
	blocked := 1.0 // Erlang's B by its recursion, which stays in range for any number
	for n := 1; n <= servers; n++ {
		blocked = load * blocked / (float64(n) + load*blocked)
	}
	busy := load / float64(servers)
	return blocked / (1 - busy*(1-blocked))
}

// ErlangWait returns the mean wait, in units of the mean service time.
func ErlangWait(servers int, load float64) float64 {
	return ErlangC(servers, load) / (float64(servers) - load)
}

// interval returns the mean of independent results, and half the width of its interval of
// confidence of 99 % by Student's t distribution.
func interval(results []float64) (mean, half float64) {
	n := float64(len(results))
	for _, r := range results {
		mean += r / n
	}
	variance := 0.0
	for _, r := range results {
		variance += (r - mean) * (r - mean) / (n - 1)
	}
	return mean, student(len(results)-1) * math.Sqrt(variance/n)
}

// student returns the 99.5 % quantile of Student's t distribution, by Cornish and
// Fisher's expansion from the normal one (Abramowitz and Stegun, 26.7.5), which is right
// to two decimals for 9 degrees of freedom and more.
func student(degrees int) float64 {
	const z = 2.575829
	v := float64(degrees)
	return z + (z*z*z+z)/(4*v) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*v*v) + (3*math.Pow(z, 7)+19*math.Pow(z, 5)+17*z*z*z-15*z)/(384*v*v*v)
}
