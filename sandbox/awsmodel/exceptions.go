package awsmodel

// anyCase are the enumerations that AWS accepts in lower and upper case, as
// "service Structure.member", each with its source.
var anyCase = map[string]string{
	"batch EvaluateOnExit.action": `"The values aren't case sensitive", https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html`,
}

// beside are calls that AWS answers although its models do not name them, as
// "service METHOD content type"; "" for any content type.
var beside = map[string]string{
	"s3 OPTIONS":                  "a browser's preflight, https://docs.aws.amazon.com/AmazonS3/latest/API/RESTOPTIONSobject.html",
	"s3 POST multipart/form-data": "an upload by form, https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html",
}
