# Finds the headers of TensorRT, of one version or of several, which is all that the plugins need: they link no library of it.
#
# TensorRT_ROOT, as a variable or in the environment (also TENSORRT_ROOT and TRT_ROOT there), is a list of folders, each with the
# headers or with a folder `include` of them. Without it, Debian's folder and the default paths are searched. Sets TensorRT_FOUND,
# TensorRT_MAJORS and TensorRT_VERSIONS, both from the oldest on, and makes a target TensorRT::headers<MAJOR> for each.
# Of two versions with one major, the first is taken.

# ttsrt_tensorrt_number(result text name): a number of NvInferVersion.h, which stands there, or, since 10.13, in a second macro that
# the first names.
function(ttsrt_tensorrt_number result text name)
    set(${result} "" PARENT_SCOPE)
    if(text MATCHES "#define[ \t]+${name}[ \t]+([A-Za-z0-9_]+)")
        set(value "${CMAKE_MATCH_1}")
        if(NOT value MATCHES "^[0-9]+$" AND text MATCHES "#define[ \t]+${value}[ \t]+([0-9]+)")
            set(value "${CMAKE_MATCH_1}")
        endif()
        if(value MATCHES "^[0-9]+$")
            set(${result} "${value}" PARENT_SCOPE)
        endif()
    endif()
endfunction()

# ttsrt_tensorrt_version(result folder): "8.6.0", or nothing where the folder has no headers.
function(ttsrt_tensorrt_version result folder)
    set(${result} "" PARENT_SCOPE)
    if(NOT EXISTS "${folder}/NvInferVersion.h" OR NOT EXISTS "${folder}/NvInferRuntime.h")
        return()
    endif()
    file(READ "${folder}/NvInferVersion.h" text)
    set(version "")
    foreach(part MAJOR MINOR PATCH)
        ttsrt_tensorrt_number(number "${text}" NV_TENSORRT_${part})
        if(number STREQUAL "")
            return()
        endif()
        list(APPEND version "${number}")
    endforeach()
    list(JOIN version "." version)
    set(${result} "${version}" PARENT_SCOPE)
endfunction()

set(ttsrt_roots ${TensorRT_ROOT})
foreach(name TensorRT_ROOT TENSORRT_ROOT TRT_ROOT)
    if(NOT ttsrt_roots AND DEFINED ENV{${name}})
        string(REPLACE ":" ";" ttsrt_roots "$ENV{${name}}")
    endif()
endforeach()
set(ttsrt_folders "")
foreach(root IN LISTS ttsrt_roots)
    list(APPEND ttsrt_folders "${root}" "${root}/include")
endforeach()
if(NOT ttsrt_roots)
    find_path(TensorRT_INCLUDE_DIR NvInferRuntime.h PATH_SUFFIXES ${CMAKE_LIBRARY_ARCHITECTURE})
    mark_as_advanced(TensorRT_INCLUDE_DIR)
    set(ttsrt_folders "${TensorRT_INCLUDE_DIR}")
endif()

set(TensorRT_VERSIONS "")
set(TensorRT_MAJORS "")
foreach(folder IN LISTS ttsrt_folders)
    ttsrt_tensorrt_version(version "${folder}")
    string(REGEX MATCH "^[0-9]+" major "${version}")
    if(version STREQUAL "" OR major IN_LIST TensorRT_MAJORS)
        continue()
    endif()
    list(APPEND TensorRT_VERSIONS "${version}")
    list(APPEND TensorRT_MAJORS "${major}")
    if(NOT TARGET TensorRT::headers${major})
        add_library(TensorRT::headers${major} INTERFACE IMPORTED)
        target_include_directories(TensorRT::headers${major} SYSTEM INTERFACE "${folder}")
    endif()
endforeach()
list(SORT TensorRT_VERSIONS COMPARE NATURAL)
list(SORT TensorRT_MAJORS COMPARE NATURAL)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    TensorRT
    REQUIRED_VARS TensorRT_VERSIONS
    REASON_FAILURE_MESSAGE
        "set TensorRT_ROOT to a folder with the headers of TensorRT (NvInferRuntime.h and those that it includes)"
)
