module example.com/fd-leak

go 1.27

require example.com/breaking v0.0.0

require example.com/shop v0.0.0 // indirect

replace (
	example.com/breaking => ../breaking
	example.com/shop => ../shop
)
