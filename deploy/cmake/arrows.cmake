# folder_target(NAME sources…): a static library of this folder that others include as
# "NAME/file.h". The include path holds that one folder and no other, so who does not link it cannot
# include it.
function(folder_target name)
	set(root ${CMAKE_BINARY_DIR}/include/${name})
	file(MAKE_DIRECTORY ${root})
	file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${name} ${root}/${name} SYMBOLIC)
	add_library(${name} STATIC ${ARGN})
	target_include_directories(${name} PUBLIC ${root})
endfunction()
