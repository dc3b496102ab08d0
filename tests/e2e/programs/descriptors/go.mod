module example.com/media/descriptors

go 1.21
