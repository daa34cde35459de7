# One place for what every compiler run has in common.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_compile_definitions(_GNU_SOURCE LETTERGATE_VERSION="${PROJECT_VERSION}")
add_compile_options(
	-Wall -Wextra -Werror -Wshadow -Wvla -Wpointer-arith -Wstrict-prototypes
	-Wmissing-prototypes -Wwrite-strings -Wformat=2 -Wundef -Wimplicit-fallthrough
	-fno-common -fstack-protector-strong -fvisibility=hidden)
add_link_options(-Wl,-z,relro,-z,now -Wl,--as-needed)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
	add_compile_options(-D_FORTIFY_SOURCE=2)
endif()
if(LETTERGATE_SANITIZE)
	add_compile_options(-fsanitize=${LETTERGATE_SANITIZE} -fno-omit-frame-pointer
		-fno-sanitize-recover=all)
	add_link_options(-fsanitize=${LETTERGATE_SANITIZE})
endif()
