module example.com/shop/leaks

go 1.27
