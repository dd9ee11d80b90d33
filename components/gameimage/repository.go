package gameimage

import "regexp"

// ecrPattern is the address of a private registry of Amazon ECR, FIPS and
// dual-stack endpoints included, with the repository behind it (AWS General
// Reference, "Amazon ECR endpoints and quotas").
var ecrPattern = regexp.MustCompile(`^(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn)/(.+)$`)

// UsedRepository returns the ECR repository that GameImageArgs.Use names by its
// address. All three are empty if it names a tag or another registry.
func UsedRepository(use string) (account, region, name string) {
	image := digestPattern.FindStringSubmatch(use)
	if image == nil {
		return "", "", ""
	}
	parts := ecrPattern.FindStringSubmatch(image[1])
	if parts == nil {
		return "", "", ""
	}
	return parts[1], parts[2], parts[3]
}
