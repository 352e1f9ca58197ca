# ttsrt_unite(target) compiles the sources of a target several at a time (CMake's unity build), which shares the cost of headers and of
# templates: six test files take 15 s of CPU time as one, 39 s one by one. Files of one folder are merged, and only those that declare
# different names at namespace scope, since their unnamed namespaces become one. Files with flags of their own stay alone.

set(ttsrt_unity_size 8) # files in a group

# ttsrt_declared_names(source out): a list of "kind name = what it is", from the lines that begin a declaration at namespace scope. Two
# files clash in a name that is not the same in both; equal using-declarations are no clash. An edited file is read again by the next build.
function(ttsrt_declared_names source out)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
    file(READ "${source}" text)
    string(REGEX REPLACE "[][;\\]" " " text "${text}") # what has a meaning in lists
    string(REGEX MATCHALL "\n[A-Za-z][^\n]*" lines "${text}")
    set(names "")
    foreach(line IN LISTS lines)
        string(STRIP "${line}" line)
        if(
            line
                MATCHES
                "^(namespace|template <.*>|extern|static_assert|TYPED|TEST|INSTANTIATE|TTSRT)( |$|[_(])"
        )
            if(NOT line MATCHES "^template <[^(]*> [A-Za-z]")
                continue()
            endif()
        endif()
        if(line MATCHES "^using [A-Za-z_:0-9]*::([A-Za-z_0-9]+)$")
            list(APPEND names "name ${CMAKE_MATCH_1} = ${line}")
        elseif(line MATCHES "^using ([A-Za-z_0-9]+) = ")
            list(APPEND names "name ${CMAKE_MATCH_1} = ${line}")
        elseif(line MATCHES "^(struct|class|enum class|enum|union) ([A-Za-z_0-9]+)")
            list(APPEND names "name ${CMAKE_MATCH_2} = ${source}")
        elseif(line MATCHES "^([^(={]*[ *&>])?([A-Za-z_0-9]+)\\(")
            list(APPEND names "name ${CMAKE_MATCH_2} = ${source}")
        elseif(line MATCHES "^[^(={]*[ *&>]([A-Za-z_0-9]+) *([={/]|$)")
            list(APPEND names "name ${CMAKE_MATCH_1} = ${source}")
        endif()
    endforeach()
    set(${out} "${names}" PARENT_SCOPE)
endfunction()

function(ttsrt_unite target)
    get_target_property(sources ${target} SOURCES)
    get_target_property(directory ${target} SOURCE_DIR)
    list(FILTER sources INCLUDE REGEX "\\.cpp$")
    list(REMOVE_DUPLICATES sources)
    foreach(source IN LISTS sources)
        cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY "${directory}" OUTPUT_VARIABLE path)
        cmake_path(RELATIVE_PATH path BASE_DIRECTORY "${PROJECT_SOURCE_DIR}" OUTPUT_VARIABLE folder)
        cmake_path(GET folder PARENT_PATH folder)
        string(MAKE_C_IDENTIFIER "${folder}" folder)
        ttsrt_declared_names("${path}" names)
        set(index 0)
        set(placed OFF)
        while(NOT placed)
            set(group ${folder}_${index})
            math(EXPR index "${index} + 1")
            if(NOT DEFINED size_${group})
                set(size_${group} 0)
            endif()
            if(size_${group} EQUAL ttsrt_unity_size)
                continue()
            endif()
            set(placed ON)
            foreach(each IN LISTS names)
                string(FIND "${each}" " = " end)
                string(SUBSTRING "${each}" 0 ${end} name)
                string(MD5 key "${name}")
                if(DEFINED taken_${group}_${key} AND NOT taken_${group}_${key} STREQUAL each)
                    set(placed OFF)
                    break()
                endif()
            endforeach()
        endwhile()
        math(EXPR size_${group} "${size_${group}} + 1")
        foreach(each IN LISTS names)
            string(FIND "${each}" " = " end)
            string(SUBSTRING "${each}" 0 ${end} name)
            string(MD5 key "${name}")
            set(taken_${group}_${key} "${each}")
        endforeach()
        set_source_files_properties(
            "${source}"
            TARGET_DIRECTORY ${target}
            PROPERTIES UNITY_GROUP ${group}
        )
    endforeach()
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        # GCC takes what a file includes for a header, in which unnamed namespaces are a mistake.
        target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
    endif()
endfunction()
